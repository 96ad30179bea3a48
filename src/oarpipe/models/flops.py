"""How much arithmetic a model asks for, in closed form (multiply and add count as two)."""

from oarpipe.models.position_tokens import PositionTokens


def block_parameters(model: PositionTokens) -> int:
    """Parameters that multiply every row: all matrices of all blocks."""
    return sum(p.numel() for p in model.layers.parameters() if p.ndim == 2)


def training_flops(model: PositionTokens) -> float:
    """FLOP of one sample's forward and backward: 2N rows through the blocks, causal attention, N answers."""
    positions = model.grid.positions
    rows = 2 * positions
    blocks = 2 * block_parameters(model) * rows
    attention = 4 * len(model.layers) * model.width * rows * (rows + 1) / 2
    head = 2 * model.codebook * model.width * positions
    return 3.0 * (blocks + attention + head)


def walk_flops(model: PositionTokens, candidates: list[int]) -> float:
    """FLOP of one sample's cached walk of one place a step that asks `candidates[t]` queries at step t."""
    matrices = 2 * block_parameters(model)
    head = 2 * model.codebook * model.width
    total = 0.0
    for step, asked in enumerate(candidates):
        rows, history = asked + 1, 2 * step + 1
        total += rows * matrices + asked * head + 4 * len(model.layers) * model.width * rows * (history + 1)
    return total
