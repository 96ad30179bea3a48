"""Where images come from, and the networks that measure them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.training import TrainConfig
from oarpipe.config.weights import WeightsConfig

INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
Split = Literal["train", "test", "all"]
Count = Annotated[
    int | None, Field(ge=1, description="so many of the split's images, evenly spread; null: all of them")
]


class DigitsConfig(Strict):
    """scikit-learn's handwritten digits: 1,797 real 8x8 images, 10 classes, nothing to download."""

    kind: Literal["digits"]
    resolution: int = Field(24, ge=8, description="side of the images after bicubic resizing, in pixels")


class KeyedConfig(Strict):
    """Drawn pictures whose best order is known: of 3x3 coloured cells one, the key, tells the others."""

    kind: Literal["keyed"]
    count: int = Field(
        3000, ge=15, multiple_of=15, description="pictures of the three classes; of each a fifth is held out"
    )
    resolution: int = Field(12, ge=3, multiple_of=3, description="side of the pictures, in pixels")


class _ImagesConfig(Strict):
    """What all kinds of image collections have in common."""

    kind: str
    path: str
    resolution: int = Field(256, ge=8, description="side of the images after the ADM centre crop, in pixels")
    test_every: int | None = Field(
        10,
        ge=2,
        description="within each class, every n-th image is held out as a test image, unless the data "
        "name their test images; null: none is",
    )
    max_rejected: float = Field(
        0.0, ge=0, lt=1, description="share of unusable images up to which the stage goes on without them"
    )

    @model_validator(mode="after")
    def _labels_have_images(self) -> "_ImagesConfig":
        if getattr(self, "test_labels", None) and not getattr(self, "test_path", None):
            raise ValueError("test_labels: of which images? name them by test_path")
        return self


class FolderConfig(_ImagesConfig):
    """Images in one folder a class; the class is the folder's name, classes are sorted by name."""

    kind: Literal["folder"]
    path: str = Field(description="folder that holds one folder of images a class")
    test_path: str | None = Field(None, description="such a folder of test images; null: see `test_every`")


class TarConfig(_ImagesConfig):
    """ImageNet's own tar files, read in place: one tar a class, the class is the tar's name."""

    kind: Literal["tar"]
    path: str = Field(description="the tar of class tars (ILSVRC2012_img_train.tar), or a folder of them")
    test_path: str | None = Field(
        None, description="test images: as `path`, or one tar of images, or a folder with one folder a class"
    )
    test_labels: str | None = Field(
        None,
        description="for one tar of test images: a text file with a line an image, `CLASS` in order of the "
        "names, or `NAME CLASS` (Kaggle's LOC_val_solution.csv)",
    )


class ListConfig(_ImagesConfig):
    """A file that lists images: path, label (a name or a number) and, if wanted, split, one image a line."""

    kind: Literal["list"]
    path: str = Field(
        description="CSV, tab-separated or `path label` lines; a header `path,label,split` may be there"
    )
    test_path: str | None = Field(None, description="such a list of test images; null: see `test_every`")
    images: str | None = Field(
        None, description="folder that the paths are relative to; null: that of the list"
    )


class CaptionsConfig(_ImagesConfig):
    """Images with captions: a CSV or JSONL table of them, or a text file an image (MM-CelebA-HQ)."""

    kind: Literal["captions"]
    path: str = Field(description=".csv or .jsonl, or a folder of .txt files, named as the images are")
    images: str | None = Field(
        None, description="folder of the images; null: `images` beside `path`, or else the folder of `path`"
    )
    image: str | None = Field(
        None, description="column of the image's name; null: `image`, `path`, `file` or `id`"
    )
    caption: str | None = Field(
        None,
        description="column of the caption, or of a list of them; null: `captions`, `caption`, `text` or "
        "`productDisplayName`",
    )
    label: str | None = Field(
        None,
        description="column of the class; null: `label`, `class` or `articleType`, or all are of one class",
    )


class ArraysConfig(_ImagesConfig):
    """Images in an array: .npy, uint8 [n, H, W, 3], or .npz as ADM writes it (arr_0 images, arr_1 labels)."""

    kind: Literal["arrays"]
    path: str = Field(description="the .npy or .npz file")
    labels: str | None = Field(
        None, description=".npy of the labels, integers [n]; null: arr_1 of the .npz, or all are of one class"
    )
    test_path: str | None = Field(None, description="such a file of test images; null: see `test_every`")
    test_labels: str | None = Field(None, description="labels of `test_path`, as `labels` are of `path`")


ImagesConfig = FolderConfig | TarConfig | ListConfig | CaptionsConfig | ArraysConfig
InMemoryConfig = DigitsConfig | KeyedConfig  # no files lie behind these
DatasetConfig = Annotated[InMemoryConfig | ImagesConfig, Field(discriminator="kind")]


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
    weights: WeightsConfig = Field(
        WeightsConfig(url=INCEPTION_URL), description="torch-fidelity's file; left out, it is downloaded"
    )


FeaturesConfig = Annotated[ClassifierConfig | InceptionConfig, Field(discriminator="kind")]
