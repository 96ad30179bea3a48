"""Where images come from, and the networks that measure them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.training import TrainConfig

Split = Literal["train", "test", "all"]


class DigitsConfig(Strict):
    """scikit-learn's handwritten digits: 1,797 real 8x8 images, 10 classes, nothing to download."""

    kind: Literal["digits"]
    resolution: int = Field(24, ge=8, description="side of the images after bicubic resizing, in pixels")


class FolderConfig(Strict):
    """Images in one folder a class; the class is the folder's name, classes are sorted by name."""

    kind: Literal["folder"]
    path: str = Field(description="folder that holds one folder of images a class")
    resolution: int = Field(256, ge=8, description="side of the images after the ADM centre crop, in pixels")
    test_every: int = Field(
        10, ge=2, description="within each class, every n-th image by name is held out as a test image"
    )


DatasetConfig = Annotated[DigitsConfig | FolderConfig, Field(discriminator="kind")]


class ClassifierConfig(Strict):
    """A small classifier trained on the training split; its penultimate layer measures distances."""

    kind: Literal["classifier"]
    dataset: Annotated[str, Ref("datasets")] = Field(description="dataset it is trained on")
    channels: int = Field(32, ge=4, description="channels of the first convolution")
    dimensions: int = Field(64, ge=2, description="length of the feature vector")
    augment: bool = Field(True, description="small random shifts, rotations and scalings while training")
    train: TrainConfig = TrainConfig(steps=600, batch=64, lr=2e-3, weight_decay=0.01)

    @model_validator(mode="after")
    def _trains_plainly(self) -> "ClassifierConfig":
        unused = {"microbatch": self.train.microbatch, "ema": self.train.ema, "compile": self.train.compile}
        for key, value in unused.items():
            if value:
                raise ValueError(f"train.{key}: the feature classifier is trained without it; leave it out")
        return self


class InceptionConfig(Strict):
    """The Inception network of 2015-12-05, whose distances are called FID and KID; trained by nobody here."""

    kind: Literal["inception"]
    weights: str = Field(
        description="torch-fidelity's weights-inception-2015-12-05-6726825d.pth, downloaded beforehand"
    )
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="hash that the file must have")


FeaturesConfig = Annotated[ClassifierConfig | InceptionConfig, Field(discriminator="kind")]
