"""How much arithmetic a model asks for, in closed form (a multiplication and an addition are two)."""

from collections.abc import Sequence

from oarpipe.models.position_tokens import PositionTokens


def block_parameters(model: PositionTokens) -> int:
    """Parameters of all matrices of all blocks, by which a row is multiplied."""
    return sum(p.numel() for p in model.layers.parameters() if p.ndim == 2)


def forward_matrix_flops(model: PositionTokens) -> int:
    """Matrix products of one sample's forward: 2N rows; past the last attention only the N answers."""
    positions, width = model.grid.positions, model.width
    last = block_parameters(model) // len(model.layers) - 3 * width * width  # its wo and feed-forward
    blocks = 2 * positions * block_parameters(model) - positions * last
    return 2 * (blocks + positions * width * model.codebook)


def forward_attention_flops(model: PositionTokens) -> int:
    """Causal attention of one sample's forward: scores and mixing of 2N rows with those before them."""
    rows = 2 * model.grid.positions
    return 2 * len(model.layers) * model.width * rows * (rows + 1)


def training_flops(model: PositionTokens) -> int:
    """One sample's forward and backward; the backward is twice the forward."""
    return 3 * (forward_matrix_flops(model) + forward_attention_flops(model))


def walk_flops(model: PositionTokens, candidates: Sequence[int]) -> int:
    """One sample's cached walk, one place a step, asking `candidates[t]` queries at step t."""
    width, answer = model.width, 2 * model.codebook * model.width
    matrices, attention = 2 * block_parameters(model), 4 * len(model.layers) * width
    last = matrices // len(model.layers) - 6 * width * width  # past the last attention only answers go on
    return sum(
        (asked + 1) * matrices - last + asked * answer + (asked + 1) * (2 * step + 2) * attention
        for step, asked in enumerate(candidates)
    )
