"""How much memory a model asks for, in bytes: what autograd keeps while training, what a walk keeps."""

from typing import Literal

from oarpipe.config.training import Precision
from oarpipe.models.flops import ModelSize

# What autograd keeps of a row in a block: bytes a channel of the model's width, and of the
# feed-forward's. Under bfloat16's autocast the residual stream and the norms stay float32.
_KEPT = {"float32": (36, 12), "bfloat16": (26, 6)}
# Logits a walk makes at once: what a core's second-level cache holds, and what a GPU can spare.
LOGITS_AT_ONCE = {"cpu": 2**17, "cuda": 2**28}
# But never of fewer rows: the head's weights are read for each product.
ROWS_AT_ONCE = 256
_LOGIT = 12  # logits, their log-softmax and its gradient
_FLOAT = 4


def training_bytes(
    size: ModelSize, classes: int, *, samples: int, precision: Precision, average: bool
) -> int:
    """Of a step over `samples` at once: weights, gradients, both moments, the average, and what is kept."""
    copies = 4 * _FLOAT + (_FLOAT if average else 0) + (2 if precision == "bfloat16" else 0)
    return size.parameters(classes) * copies + samples * kept_bytes(size, precision)


def kept_bytes(size: ModelSize, precision: Precision) -> int:
    """What autograd keeps of one sample, and its logits."""
    wide, hidden = _KEPT[precision]
    blocks = size.layers * size.rows * (wide * size.width + hidden * size.hidden)
    return blocks + size.positions * size.codebook * _LOGIT


def rows_at_once(codebook: int, device: str) -> int:
    """How many rows a walk makes logits of at once."""
    return max(LOGITS_AT_ONCE[device] // codebook, ROWS_AT_ONCE)


def walk_bytes(
    size: ModelSize,
    classes: int,
    *,
    samples: int,
    queries: int,
    precision: Precision,
    branches: int = 1,
    device: Literal["cpu", "cuda"] = "cuda",
) -> int:
    """Of a walk that asks about up to `queries` places a step; guidance makes two branches.

    Weights, and the same packed; the cache, and the projections of the queries of all layers, of which
    one is kept; a block's rows at the widest step and their attention at the longest product of rows
    and history; and the logits made at once, with their softmax, in float32. An upper bound.
    """
    lent = 3 * (queries + 1) if size.asks and queries > 1 else 0
    cache = size.layers * size.width * (2 * (size.rows + 2) + lent)
    block = (queries + 1) * (2 * size.hidden + 20 * size.width)  # 16, and what the allocator holds back
    # Where all open places are asked about, few are left when the history is long.
    attention = size.heads * (min(queries * size.rows, size.positions**2 // 2) + 2 * size.rows)
    at_once = max(rows_at_once(size.codebook, device), samples) * size.codebook
    logits = 2 * min(samples * queries * size.codebook, at_once)
    walked = 2 * size.parameters(classes) + samples * branches * (cache + block + attention)
    return (_FLOAT if precision == "float32" else 2) * walked + _FLOAT * logits
