"""Which networks can be explained."""

from __future__ import annotations

from restorekit.errors import UsageError
from restorekit.models import SparseCoding
from restorekit.zoo import LoadedModel


def sparse_coding_of(model: LoadedModel) -> SparseCoding:
    """The network of a model that codes patches with a dictionary. Raises UsageError for one that does not."""
    if not isinstance(model.network, SparseCoding):
        raise UsageError(
            f"{model.card.name} has no dictionary that can be drawn; name a model to denoise, demosaic or deblock "
            "that ends in -sc or -groupsc"
        )
    return model.network
