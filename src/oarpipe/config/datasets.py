"""Where images come from, and the in-pipeline network that measures them."""

from typing import Annotated, Literal

from pydantic import Field

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


class FeaturesConfig(Strict):
    """A small classifier trained on the training split; its penultimate layer measures distances."""

    kind: Literal["classifier"] = "classifier"
    dataset: Annotated[str, Ref("datasets")] = Field(description="dataset it is trained on")
    channels: int = Field(32, ge=4, description="channels of the first convolution")
    dimensions: int = Field(64, ge=2, description="length of the feature vector")
    augment: bool = Field(True, description="small random shifts, rotations and scalings while training")
    train: TrainConfig = TrainConfig(steps=600, batch=64, lr=2e-3, weight_decay=0.01)
