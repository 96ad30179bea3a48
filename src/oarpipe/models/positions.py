"""2-D rotary positions as RandAR and LlamaGen have them."""

import torch
from jaxtyping import Float
from torch import Tensor

from oarpipe.base.grid import Grid


def rotary_table(grid: Grid, head_width: int, base: float = 10000.0) -> Float[Tensor, "R F 2"]:
    """(cos, sin) for the class row and every position: R = 1 + N rows, F = head_width / 2 pairs.

    The first half of the pairs turns with the row, the second with the column. Row 0, the class
    token's, is all zeros and not the identity: its queries and keys vanish in every layer, as published.
    """
    quarter = head_width // 4
    frequency = base ** (-torch.arange(quarter, dtype=torch.float64) * 2 / (head_width // 2))
    rows, columns = grid.coordinates().double().unbind(dim=1)
    angle = torch.cat([rows[:, None] * frequency, columns[:, None] * frequency], dim=1)  # [N, F]
    cells = torch.stack([angle.cos(), angle.sin()], dim=-1)
    return torch.cat([torch.zeros_like(cells[:1]), cells])


def rotate(x: Float[Tensor, "*S d"], rotation: Float[Tensor, "*R F 2"]) -> Float[Tensor, "*T d"]:
    """Turns interleaved channel pairs (a, b) into (a cos - b sin, b cos + a sin), in float32 or wider."""
    pairs = (x if x.dtype == torch.float64 else x.float()).unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # compilers know no complex numbers
        (a, b), (cos, sin) = pairs.unbind(-1), rotation.unbind(-1)
        return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2).to(x.dtype)
    turned = torch.view_as_complex(pairs) * torch.view_as_complex(rotation)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
