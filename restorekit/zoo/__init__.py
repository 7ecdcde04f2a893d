"""Model files: what they say about themselves, whether they can be trusted, and which one is used."""

from restorekit.zoo.selection import ModelFile, ModelSelection, ShippedModel, find, locate, shipped_models
from restorekit.zoo.weights import CardFigure, LoadedModel, ModelCard, load_model, load_weights, read_card, save_weights

__all__ = [
    "CardFigure", "LoadedModel", "ModelCard", "ModelFile", "ModelSelection", "ShippedModel", "find", "load_model",
    "load_weights", "locate", "read_card", "save_weights", "shipped_models",
]  # fmt: skip
