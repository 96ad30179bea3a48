"""How much memory a model asks for, in bytes: what autograd keeps while training, what a walk keeps."""

from oarpipe.models.flops import ModelSize

# What autograd keeps of a row in a block: bytes a channel of the model's width, and of the
# feed-forward's. Under bfloat16's autocast the residual stream and the norms stay float32.
_KEPT = {"float32": (56, 16), "bfloat16": (38, 8)}
_LOGIT = 12  # logits, their log-softmax and its gradient
_FLOAT = 4


def training_bytes(size: ModelSize, classes: int, *, samples: int, precision: str, average: bool) -> int:
    """Of a step over `samples` at once: weights, gradients, both moments, the average, and what is kept."""
    copies = 4 * _FLOAT + (_FLOAT if average else 0) + (2 if precision == "bfloat16" else 0)
    return size.parameters(classes) * copies + samples * kept_bytes(size, precision)


def kept_bytes(size: ModelSize, precision: str) -> int:
    """What autograd keeps of one sample, and its logits."""
    wide, hidden = _KEPT[precision]
    blocks = size.layers * size.rows * (wide * size.width + hidden * size.hidden)
    return blocks + size.positions * size.codebook * _LOGIT


def walk_bytes(size: ModelSize, classes: int, *, samples: int, queries: int, branches: int = 1) -> int:
    """Of a walk in float32 that asks about up to `queries` places a step; guidance makes two branches.

    Weights; the cache and the keys and values lent to it; a block's rows at the widest step; and
    the logits with their softmax.
    """
    cache = size.layers * 2 * size.width * (size.rows + 2 + (queries if size.asks else 0))
    block = (queries + 1) * (2 * size.hidden + 6 * size.width)
    logits = 2 * queries * size.codebook
    return _FLOAT * (size.parameters(classes) + samples * (branches * cache + block + logits))
