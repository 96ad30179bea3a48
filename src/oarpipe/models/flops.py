"""How much arithmetic a model asks for, in closed form (a multiplication and an addition are two).

Sizes are plain numbers, so that a run can be costed before there is a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oarpipe.models.token_model import TokenModel


@dataclass(frozen=True)
class ModelSize:
    """What cost depends on; `hidden` is the feed-forward's width, `asks`: it has position tokens."""

    layers: int
    heads: int
    width: int
    hidden: int
    codebook: int
    positions: int
    asks: bool = True

    @classmethod
    def of(cls, model: "TokenModel") -> "ModelSize":
        """The size of a model that exists."""
        return cls(
            layers=len(model.layers),
            heads=model.heads,
            width=model.width,
            hidden=model.layers[0].feed_forward.w1.out_features,  # type: ignore[union-attr,arg-type]
            codebook=model.codebook,
            positions=model.grid.positions,
            asks=model.kind == "position_tokens",
        )

    @property
    def rows(self) -> int:
        """The length of the sequence: class, P1, x1, … less the last x; or class and all x but the last."""
        return 2 * self.positions if self.asks else self.positions

    @property
    def projection(self) -> int:
        """Parameters of a block's q, k and v."""
        return 3 * self.width**2

    @property
    def mixing(self) -> int:
        """Parameters of a block's other matrices: past attention only rows that go on need them."""
        return self.width**2 + 3 * self.width * self.hidden

    @property
    def block_parameters(self) -> int:
        """Parameters of all matrices of all blocks, by which a row is multiplied."""
        return self.layers * (self.projection + self.mixing)

    def parameters(self, classes: int) -> int:
        """All of them: embeddings, blocks, norms and head."""
        tables = (classes + 1 + 2 * self.codebook + (1 if self.asks else 0)) * self.width
        return tables + self.block_parameters + (2 * self.layers + 1) * self.width


def ffn_width(width: int) -> int:
    """The feed-forward's width: 8/3 of the model's, up to a multiple of 256 (RandAR)."""
    return 256 * -(-int(2 / 3 * 4 * width) // 256)


def forward_matrix_flops(size: ModelSize) -> int:
    """Matrix products of one sample's forward; past the last attention only the N answers go on."""
    blocks = size.rows * size.block_parameters - (size.rows - size.positions) * size.mixing
    return 2 * (blocks + size.positions * size.width * size.codebook)


def forward_attention_flops(size: ModelSize) -> int:
    """Causal attention of one sample's forward: scores and mixing of every row with those before it."""
    return 2 * size.layers * size.width * size.rows * (size.rows + 1)


def forward_flops(size: ModelSize) -> int:
    """One sample's forward."""
    return forward_matrix_flops(size) + forward_attention_flops(size)


def training_flops(size: ModelSize) -> int:
    """One sample's forward and backward; the backward is twice the forward."""
    return 3 * forward_flops(size)


def outlook_flops(size: ModelSize, width: int, traces: Sequence[int]) -> int:
    """One sample's outlook by an order head of this width, which first remembers steps of so many places.

    The step of no place is the label, which comes before the first.
    """
    remembered = sum(2 * places * size.width * width + 6 * width**2 for places in traces)
    return 2 * (remembered + 2 * size.positions * width + width**2)


def first_projections_flops(size: ModelSize, asked: Sequence[int]) -> int:
    """The first block's projections of all positions, made once where a step asks about several."""
    return 2 * size.positions * size.projection if max(asked) > 1 else 0


def walk_flops(size: ModelSize, asked: Sequence[int], filled: Sequence[int] | None = None) -> int:
    """One sample's cached walk that asks about `asked[t]` places at step t and fills `filled[t]` (or one).

    A step's rows are what the last one filled (x1, P2, x2, …) and its queries. All of them attend to the
    history, one column for themselves included; only queries are answered. Where a step asks about several
    places, their own projections in the first block are looked up: they are made once.
    """
    filled = filled or [1] * len(asked)
    if not size.asks:
        return _next_token_walk_flops(size, len(asked))
    total, done, last = first_projections_flops(size, asked), 0, 0
    for queries, places in zip(asked, filled, strict=True):
        pending = max(2 * last - 1, 1)
        rows = pending + queries
        matrices = size.layers * rows * (size.projection + size.mixing)
        matrices -= (queries * size.projection if queries > 1 else 0) + pending * size.mixing
        attention = 2 * (size.layers * rows - pending) * (2 * done + 2) * size.width
        total += 2 * (matrices + attention + queries * size.width * size.codebook)
        done, last = done + places, places
    return total


def _next_token_walk_flops(size: ModelSize, steps: int) -> int:
    """A row a step, that attends to the rows before it and itself."""
    attention = 2 * size.layers * size.width * sum(range(1, steps + 1))
    return 2 * (steps * (size.block_parameters + size.width * size.codebook) + attention)
