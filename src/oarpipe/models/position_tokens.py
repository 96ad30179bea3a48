"""RandAR's transformer (Pang et al. 2024, arXiv 2412.01827): position-instruction tokens.

The sequence is `class, P1, x1, P2, x2, …`: P_t asks what is at the t-th position of the order, x_t is
the code found there. Attention is causal, and the answer to P_t is read at P_t. Parameters carry the
published names, so that published weights load as they are.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from oarpipe.base import noise
from oarpipe.base.grid import Grid
from oarpipe.models.attention import Attend, Block, RMSNorm, causal
from oarpipe.models.positions import rotary_table, rotate
from oarpipe.orders.algebra import apply


class ClassEmbedding(nn.Module):
    """One vector a class, and one for "no class", whose label is `classes`."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)


class PositionTokens(nn.Module):
    """`model(tokens, order, labels)` gives logits for every step of any order.

    The label `classes` is the null class. Orders may be prefixes: `[B, S]` with S <= N.
    """

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
        self.pos_instruct_embeddings = nn.Parameter(torch.zeros(1, width))
        self.cls_embedding = ClassEmbedding(classes, width)
        self.tok_embeddings = nn.Embedding(codebook, width)
        self.tok_dropout = nn.Dropout(token_dropout)
        self.layers = nn.ModuleList(Block(width, heads, residual_dropout, ffn_dropout) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.output = nn.Linear(width, codebook, bias=False)
        self.register_buffer("rotary", rotary_table(grid, width // heads).float(), persistent=False)

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

    def forward(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B S"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S V"]:
        """Raster `tokens` walked in `order` -> logits in step order: row t is about `order[:, t]`."""
        asked, found = self.queries(order), self.content(apply(order, tokens))
        pairs = torch.stack([asked, found], dim=2).flatten(1, 2)  # P1 x1 P2 x2 …   [B, 2S, D]
        x = torch.cat([self.start(labels), pairs[:, :-1]], dim=1)  # the last code predicts nothing
        turns = self.rotation(order).repeat_interleave(2, dim=1)  # [B, 2S, 1, F, 2]
        turns = torch.cat([self.start_rotation(len(order)), turns[:, :-1]], dim=1)
        return self.head(self.trunk(x, turns, causal, keep=slice(1, None, 2)))

    def start(self, labels: Int[Tensor, " B"]) -> Float[Tensor, "B 1 D"]:
        """The class token."""
        embedded: Tensor = self.cls_embedding.embedding_table(labels)
        return embedded.unsqueeze(1)

    def content(self, codes: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """The tokens x of codes."""
        embedded: Tensor = self.tok_dropout(self.tok_embeddings(codes))
        return embedded

    def queries(self, positions: Int[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
        """The tokens P of positions: one learned vector, turned per head to its cell (and, as
        published, turned again inside attention)."""
        heads = self.pos_instruct_embeddings.view(1, 1, self.heads, -1)
        return rotate(heads, self.rotation(positions)).flatten(2)

    def rotation(self, positions: Int[Tensor, "B M"]) -> Float[Tensor, "B M 1 F 2"]:
        """The rotary rows of positions, for P and x alike."""
        return self.rotary[positions + 1].unsqueeze(2)

    def start_rotation(self, batch: int) -> Float[Tensor, "B 1 1 F 2"]:
        """The class token's row: zeros."""
        return self.rotary[:1].expand(batch, 1, 1, -1, 2)

    def trunk(
        self, x: Float[Tensor, "B S D"], rotation: Float[Tensor, "B S 1 F 2"], attend: Attend, keep: slice
    ) -> Float[Tensor, "B R D"]:
        """All blocks; `attend` is asked once a layer, in order. Only the `keep` rows leave the last."""
        for layer in self.layers[:-1]:
            x = layer(x, rotation, attend)
        kept: Tensor = self.layers[-1](x, rotation, attend, keep)
        return kept

    def head(self, x: Float[Tensor, "B M D"]) -> Float[Tensor, "B M V"]:
        """Logits, float32 or wider."""
        logits: Tensor = self.output(self.norm(x))
        return logits if logits.dtype == torch.float64 else logits.float()
