"""Tokenizers (images to a grid of codes and back) and the token stores they fill."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.training import TrainConfig
from oarpipe.config.weights import WeightsConfig

Views = Literal["centre", "adm", "ten_crop"]
Crop = Literal["random", "random_resized"]


class AdversarialConfig(Strict):
    """The PatchGAN critic of a VQGAN (Esser et al. 2021)."""

    weight: float = Field(0.5, ge=0, description="weight of the generator's hinge loss")
    adaptive: bool = Field(False, description="scale the weight by the ratio of gradients at the last layer")
    start: int = Field(0, ge=0, description="step at which the critic begins to count")
    channels: int = Field(32, ge=4, description="channels of the critic's first layer")
    layers: int = Field(2, ge=1, description="strided layers of the critic")
    feature_matching: float = Field(0.0, ge=0, description="weight of the distance in the critic's features")
    lr: float | None = Field(None, gt=0, description="the critic's learning rate; null: the generator's")


class GateConfig(Strict):
    """What the reconstructions must reach before anything is trained on the tokens."""

    features: Annotated[str, Ref("features")] = Field(description="network that measures rFD")
    min_psnr: float = Field(0.0, description="lowest mean PSNR on the test split, in dB")
    min_usage: float = Field(0.0, ge=0, le=1, description="lowest share of codes in use")
    max_distance: float | None = Field(None, gt=0, description="largest Fréchet distance of reconstructions")


class VQGANAnatomy(Strict):
    """What a VQGAN is built of; written beside its weights."""

    kind: Literal["vqgan"]
    stem: Literal["patch", "strided", "pixels"] = Field(
        "patch",
        description="pixel-unshuffle, or strided convolutions; pixels: no network, every patch for itself",
    )
    factor: int = Field(4, ge=1, description="pixels a token, along each side")
    width: int = Field(48, ge=1, description="channels at multiplier 1")
    multipliers: list[Annotated[int, Field(ge=1)]] = Field(
        [1],
        min_length=1,
        description="channel multipliers, high to low resolution; a strided stem halves between them",
    )
    blocks: int = Field(1, ge=0, description="residual blocks a level")
    attention: bool = Field(False, description="self-attention at the lowest resolution")
    code_dim: int = Field(8, ge=1, description="length of a code vector")
    codebook: int = Field(64, ge=2, description="number of codes")
    normalise: bool = Field(True, description="l2-normalise codes and encodings before the look-up")

    @model_validator(mode="after")
    def _factor_follows_from_the_levels(self) -> "VQGANAnatomy":
        halved = 2 ** (len(self.multipliers) - 1)
        if self.stem == "strided" and self.factor != halved:
            raise ValueError(
                f"a strided stem with {len(self.multipliers)} multipliers has factor {halved}, got factor "
                f"{self.factor}; change `factor` or the number of `multipliers`"
            )
        return self

    @model_validator(mode="after")
    def _pixels_have_no_network(self) -> "VQGANAnatomy":
        for name in ("width", "multipliers", "blocks", "attention") if self.stem == "pixels" else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: a pixels stem has no network between patch and code; leave it out")
        return self


class VQGANConfig(VQGANAnatomy):
    """A VQGAN whose anatomy is parameters: `patch` stems are fast on CPUs, `strided` is LlamaGen's."""

    dataset: Annotated[str, Ref("datasets")] = Field(description="dataset it is trained on")
    commitment: float = Field(0.25, ge=0, description="weight of the commitment loss")
    revive_after: int | None = Field(
        100, ge=1, description="steps without use after which a code restarts at an encoding; null: never"
    )
    pixel_loss: Literal["l1", "l2"] = "l2"
    perceptual: float = Field(0.0, ge=0, description="weight of LPIPS; needs `perceptual_weights`")
    perceptual_weights: list[str] = Field(
        [],
        description="files that hold VGG16's `features.*`, named as torchvision's, and LPIPS' `lin*`",
    )
    adversarial: AdversarialConfig | None = Field(None, description="null: no critic")
    crop: Crop | None = Field(
        None,
        description="part of an image that training sees: ADM's random crop (4/5 to all of the short side), "
        "or a square of 3/4 to all of the area; null: the centre",
    )
    augment: bool = Field(True, description="small random shifts, rotations and scalings while training")
    flip: bool = Field(False, description="random horizontal flips while training")
    train: TrainConfig
    gate: GateConfig | None = Field(None, description="null: no gate")

    @model_validator(mode="after")
    def _perceptual_loss_has_weights(self) -> "VQGANConfig":
        if self.perceptual and not self.perceptual_weights:
            raise ValueError(
                "`perceptual` needs `perceptual_weights`, the files with VGG16's and LPIPS' weights"
            )
        return self

    verb: ClassVar[Literal["train_tokenizer"]] = "train_tokenizer"

    def anatomy(self) -> VQGANAnatomy:
        """The part that is needed to use it."""
        return VQGANAnatomy(**{name: getattr(self, name) for name in VQGANAnatomy.model_fields})


class ImportedTokenizerConfig(Strict):
    """A published tokenizer: LlamaGen's VQ-16, a VQGAN of taming-transformers, or MaskGIT's."""

    kind: Literal["llamagen", "taming", "maskgit"]
    weights: WeightsConfig

    factor: ClassVar[int] = 16
    verb: ClassVar[Literal["import_tokenizer"]] = "import_tokenizer"


TokenizerConfig = Annotated[VQGANConfig | ImportedTokenizerConfig, Field(discriminator="kind")]


class TokensConfig(Strict):
    """A dataset seen through a tokenizer."""

    kind: Literal["dataset"] = "dataset"
    dataset: Annotated[str, Ref("datasets")]
    tokenizer: Annotated[str, Ref("tokenizers")]
    views: Views = Field(
        "centre",
        description="of each image its centre crop, that and its mirror image (ADM), or ten crops (LlamaGen)",
    )
    batch: int = Field(64, ge=1, description="images a forward pass")
    shard: int = Field(65536, ge=1, description="rows a zarr shard, the unit of writing and resuming")

    verb: ClassVar[Literal["tokenize"]] = "tokenize"


class ImportedTokensConfig(Strict):
    """Codes that another project wrote down, as RandAR, LlamaGen, RAR or LPD lay them out."""

    kind: Literal["randar", "llamagen", "rar", "lpd"]
    path: str = Field(description="folder of the codes; also RandAR's .tar, and RAR's .jsonl file")
    tokenizer: Annotated[str, Ref("tokenizers")] = Field(description="tokenizer that made them")
    classes: int | None = Field(None, ge=1, description="number of classes; null: as many as the labels show")
    count: int | None = Field(
        None, ge=1, description="samples that must be there (ImageNet: 1281167); null: not checked"
    )
    views: Literal[1, 10] = Field(
        1,
        description="RAR only: lines an image. Its ten-crop files have ten in a row, but do not say so",
    )
    test_every: int | None = Field(
        None, ge=2, description="within each class, every n-th sample is held out; null: none is"
    )
    shard: int = Field(65536, ge=1, description="rows a zarr shard, the unit of writing and resuming")

    @model_validator(mode="after")
    def _files_know_their_views(self) -> "ImportedTokensConfig":
        if self.views != 1 and self.kind != "rar":
            raise ValueError(f"views: the files of kind {self.kind} tell their views; leave it out")
        return self

    dataset: ClassVar[None] = None
    verb: ClassVar[Literal["import_tokens"]] = "import_tokens"


AnyTokensConfig = Annotated[TokensConfig | ImportedTokensConfig, Field(discriminator="kind")]
