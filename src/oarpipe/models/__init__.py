"""Models that answer any order: tokens and an order in, distributions out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oarpipe.models.weights import load_model, load_weights, save_model

__all__ = ["load_model", "load_weights", "save_model"]


def __getattr__(name: str) -> Any:
    """Opens late, so that a plan, which needs sizes only, needs no torch."""
    if name in __all__:
        from oarpipe.models import weights

        return getattr(weights, name)
    raise AttributeError(f"module 'oarpipe.models' has no attribute '{name}'")
