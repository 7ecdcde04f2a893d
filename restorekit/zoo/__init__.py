"""Model files: what they say about themselves, whether they can be trusted, and where they are found."""

from __future__ import annotations

from restorekit.zoo.card import CHANNELS, CardFigure, ModelCard
from restorekit.zoo.selection import (
    ModelFile,
    ShippedModel,
    default_model,
    default_models,
    default_of,
    find,
    locate,
    shipped_models,
    specialists,
)
from restorekit.zoo.weights import LoadedModel, load_model, load_weights, read_card, save_weights

__all__ = [
    "CHANNELS",
    "CardFigure",
    "LoadedModel",
    "ModelCard",
    "ModelFile",
    "ShippedModel",
    "default_model",
    "default_models",
    "default_of",
    "find",
    "load_model",
    "load_weights",
    "locate",
    "read_card",
    "save_weights",
    "shipped_models",
    "specialists",
]
