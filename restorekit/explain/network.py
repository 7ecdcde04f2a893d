"""Which networks have a dictionary."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from restorekit.errors import UsageError
from restorekit.models import CsSparseCoding, SparseCoding, UnrolledADMM
from restorekit.zoo import LoadedModel


class PatchDictionary(Protocol):
    """What codes patches of `patch_size` x `patch_size` pixels in `channels` channels, m numbers each, with p atoms."""

    @property
    def dictionary(self) -> Tensor:
        """D, [m, p]: codes are found with it."""

    @property
    def synthesis(self) -> Tensor:
        """W, [m, p]: estimates are sums of its columns."""

    @property
    def channels(self) -> int:
        """Of a patch."""

    @property
    def patch_size(self) -> int:
        """In pixels."""


def dictionary_of(model: LoadedModel) -> PatchDictionary:
    """What a model codes patches with, be it a part of its network. Raises UsageError for one that does not."""
    network = model.network
    part = network.denoiser if isinstance(network, UnrolledADMM) else network
    if isinstance(part, SparseCoding):
        return part
    if isinstance(part, CsSparseCoding):
        return part.coding
    raise UsageError(
        f"{model.card.name} has no dictionary that can be drawn; models of sparse coding do, whose names end in -sc, "
        "-groupsc, -sc-var or -admm"
    )
