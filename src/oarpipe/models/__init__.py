"""Models that answer any order: tokens and an order in, distributions out."""

from oarpipe.models.weights import load_model, load_weights, save_model

__all__ = ["load_model", "load_weights", "save_model"]
