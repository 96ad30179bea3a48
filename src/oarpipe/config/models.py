"""Any-order models: their anatomy, their condition, and what they are trained on."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.orders import OrderConfig, RandomConfig
from oarpipe.config.training import Probability, TrainConfig
from oarpipe.config.weights import WeightsConfig

# layers, heads, width (RandAR's sizes, and one for laptops)
PRESETS = {
    "tiny": (4, 3, 96),
    "B": (12, 12, 768),
    "L": (24, 16, 1024),
    "XL": (36, 20, 1280),
    "XXL": (48, 24, 1536),
}


class ModelConfig(Strict):
    """RandAR's transformer (Pang et al. 2024), and one run that trains or tunes it."""

    kind: Literal["position_tokens"] = "position_tokens"
    tokens: Annotated[str, Ref("tokens")] = Field(description="token store it is trained on")
    preset: Literal["tiny", "B", "L", "XL", "XXL"] = Field("tiny", description="layers, heads and width")
    layers: int | None = Field(None, ge=1, description="overrides the preset")
    heads: int | None = Field(None, ge=1, description="overrides the preset")
    width: int | None = Field(None, ge=8, description="overrides the preset")
    token_dropout: Probability = Field(0.1, description="on the embeddings of image tokens")
    residual_dropout: Probability = Field(0.1, description="after attention's output projection")
    ffn_dropout: Probability = Field(0.1, description="after the feed-forward's output projection")
    class_dropout: Probability = Field(0.1, description="share of labels replaced by the null class")
    order: OrderConfig = Field(RandomConfig(), description="where each sample's order comes from")
    init: Annotated[str | None, Ref("models")] = Field(None, description="model whose weights to start from")
    train: TrainConfig

    @model_validator(mode="after")
    def _fits(self) -> "ModelConfig":
        _, heads, width = self.size
        if width % heads or (width // heads) % 4:
            raise ValueError(
                f"width {width} over {heads} heads gives {width / heads:g} channels a head; "
                "2-D rotary positions need a multiple of 4"
            )
        return self

    @property
    def size(self) -> tuple[int, int, int]:
        """Layers, heads and width."""
        layers, heads, width = PRESETS[self.preset]
        return self.layers or layers, self.heads or heads, self.width or width

    @property
    def verb(self) -> Literal["train", "distill"]:
        """`distill` where the order source reads extracted orders, else `train`."""
        return "distill" if any(f == "orders" for f, _, _ in self.order.references()) else "train"

    def anatomy(self) -> dict[str, Any]:
        """What two models must share to hand weights from one to the other."""
        return {"kind": self.kind, "size": self.size}


class ImportedModelConfig(Strict):
    """A published model: RandAR (any order), or LlamaGen (raster order only). Sizes come from the file."""

    kind: Literal["randar", "llamagen"]
    tokens: Annotated[str, Ref("tokens")] = Field(description="token store whose codes it speaks")
    weights: WeightsConfig
    heads: int | None = Field(None, ge=1, description="attention heads; null: 64 channels a head")

    init: ClassVar[None] = None
    verb: ClassVar[Literal["import_model"]] = "import_model"

    def anatomy(self) -> None:
        """Unknown before the file is read."""


AnyModelConfig = Annotated[ModelConfig | ImportedModelConfig, Field(discriminator="kind")]
