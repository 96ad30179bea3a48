"""What RandAR and LlamaGen share: embeddings, rotary positions, a trunk of blocks, and a head.

A model of this family is a way of laying these out as a sequence. Parameters carry the published
names, so that published weights load as they are.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from oarpipe.base import noise
from oarpipe.base.grid import Grid
from oarpipe.models.attention import EVERY_ROW, Attend, Block, Projected, RMSNorm
from oarpipe.models.gradients import Dropout
from oarpipe.models.positions import rotary_table


class ClassEmbedding(nn.Module):
    """One vector a class, and one for "no class", whose label is `classes`."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)


class TokenModel(nn.Module, ABC):
    """`model(tokens, order, labels)` gives logits for every step of an order.

    The label `classes` is the null class. Orders may be prefixes: `[B, S]` with S <= N.
    """

    kind: ClassVar[str]
    rotary: Tensor

    def __init__(
        self,
        *,
        grid: Grid,
        codebook: int,
        classes: int,
        layers: int,
        heads: int,
        width: int,
        token_dropout: float = 0.0,
        residual_dropout: float = 0.0,
        ffn_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.grid, self.codebook, self.classes = grid, codebook, classes
        self.heads, self.width = heads, width
        self.cls_embedding = ClassEmbedding(classes, width)
        self.tok_embeddings = nn.Embedding(codebook, width)
        self.tok_dropout = Dropout(token_dropout)
        self.layers = nn.ModuleList(Block(width, heads, residual_dropout, ffn_dropout) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.output = nn.Linear(width, codebook, bias=False)
        self.register_buffer("rotary", rotary_table(grid, width // heads).float(), persistent=False)

    @abstractmethod
    def forward(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B S"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S V"]:
        """Raster `tokens` walked in `order` -> logits in step order: row t is about `order[:, t]`."""

    @property
    def null_label(self) -> int:
        """The label that means "no class"."""
        return self.classes

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Published initialisation: N(0, 0.02) everywhere, norms one, the output head zero.

        The zero head makes the first loss ln V exactly.
        """
        generator = torch.Generator().manual_seed(noise.integer(seed, noise.Stream.INIT))
        for name, parameter in self.named_parameters():
            if name.endswith("norm.weight"):
                parameter.fill_(1.0)
            elif name == "output.weight":
                parameter.zero_()
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)

    def start(self, labels: Int[Tensor, " B"]) -> Float[Tensor, "B 1 D"]:
        """The class token."""
        embedded: Tensor = self.cls_embedding.embedding_table(labels)
        return embedded.unsqueeze(1)

    def content(self, codes: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """The tokens x of codes."""
        embedded: Tensor = self.tok_dropout(self.tok_embeddings(codes))
        return embedded

    def rotation(self, positions: Int[Tensor, "B M"]) -> Float[Tensor, "B M 1 F 2"]:
        """The rotary rows of positions."""
        return self.rotary[positions + 1].unsqueeze(2)

    def start_rotation(self, batch: int) -> Float[Tensor, "B 1 1 F 2"]:
        """The class token's row: zeros."""
        return self.rotary[:1].expand(batch, 1, 1, -1, 2)

    @property
    def blocks(self) -> list[Block]:
        """The layers, as what they are."""
        return [layer for layer in self.layers if isinstance(layer, Block)]

    def trunk(
        self,
        x: Float[Tensor, "B S D"],
        rotation: Float[Tensor, "B S 1 F 2"],
        attend: Attend,
        keep: slice,
        first: Projected | None = None,
    ) -> Float[Tensor, "B R D"]:
        """All blocks; `attend` is asked once a layer, in order. Only the `keep` rows leave the last.

        `first` is the first block's projection of x, from a caller who knows it already.
        """
        last = len(self.layers) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, attend, keep if i == last else EVERY_ROW, None if i else first)
        return x

    def first_projection(self, x: Float[Tensor, "B S D"], rotation: Float[Tensor, "B S 1 F 2"]) -> Projected:
        """What the first block asks its attention with."""
        return self.blocks[0].project(x, rotation)

    def head(self, x: Float[Tensor, "B M D"]) -> Float[Tensor, "B M V"]:
        """Logits, float32 or wider."""
        logits: Tensor = self.output(self.norm(x))
        return logits if logits.dtype == torch.float64 else logits.float()
