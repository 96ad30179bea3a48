"""oarpipe: specialised-order autoregressive image generation.

model = oarpipe.load_model("results/digits/seed-0/models/any")
tokenizer = oarpipe.load_tokenizer("results/digits/seed-0/tokenizers/digits")
walk = oarpipe.extract_orders(model, tokens, labels)
samples = oarpipe.generate(model, tokenizer, labels, seed=0)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oarpipe.door import Samples, extract_orders, generate, load_head, load_model, load_tokenizer

__version__ = "0.1.0"
__all__ = ["Samples", "extract_orders", "generate", "load_head", "load_model", "load_tokenizer"]


def __getattr__(name: str) -> Any:
    """The door opens late, so that the command line and the workflow need no torch."""
    if name in __all__:
        import oarpipe.door

        return getattr(oarpipe.door, name)
    raise AttributeError(f"module 'oarpipe' has no attribute '{name}'")
