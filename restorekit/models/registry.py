"""From the name and settings on a model card to a network, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType

from torch import nn

from restorekit.errors import WeightsError
from restorekit.models.base import PatchNetwork, Reconstructor
from restorekit.models.enlarger import Enlarger, EnlargerSettings
from restorekit.models.kspace import CsSparseCoding, CsSparseCodingSettings, CsTv, CsTvSettings, CsUNet, CsUNetSettings
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings
from restorekit.models.unet import UNet, UNetSettings
from restorekit.models.unrolled import UnrolledADMM, UnrolledSettings


def _sparse_coding(settings: Mapping[str, object]) -> SparseCoding:
    return SparseCoding(SparseCodingSettings.parse(settings))


def _unet(settings: Mapping[str, object]) -> UNet:
    return UNet(UNetSettings.parse(settings))


def _unrolled_admm(settings: Mapping[str, object]) -> UnrolledADMM:
    parsed = UnrolledSettings.parse(settings)
    denoiser = build(parsed.denoiser.architecture, parsed.denoiser.settings)
    if not isinstance(denoiser, PatchNetwork):
        raise WeightsError(f"the denoiser of an unrolled-admm model cannot be of {parsed.denoiser.architecture}")
    return UnrolledADMM(parsed, denoiser)


def _enlarger(settings: Mapping[str, object]) -> Enlarger:
    return Enlarger(EnlargerSettings.parse(settings))


def _cs_sparse_coding(settings: Mapping[str, object]) -> CsSparseCoding:
    return CsSparseCoding(CsSparseCodingSettings.parse(settings))


def _cs_tv(settings: Mapping[str, object]) -> CsTv:
    return CsTv(CsTvSettings.parse(settings))


def _cs_unet(settings: Mapping[str, object]) -> CsUNet:
    return CsUNet(CsUNetSettings.parse(settings))


ARCHITECTURES: Mapping[str, tuple[type[Reconstructor], Callable[[Mapping[str, object]], Reconstructor]]] = (
    MappingProxyType(
        {
            "sparse-coding": (SparseCoding, _sparse_coding),
            "unet": (UNet, _unet),
            "unrolled-admm": (UnrolledADMM, _unrolled_admm),
            "enlarger": (Enlarger, _enlarger),
            "cs-sc": (CsSparseCoding, _cs_sparse_coding),
            "cs-tv": (CsTv, _cs_tv),
            "cs-unet": (CsUNet, _cs_unet),
        }
    )
)
"""The class of each architecture's networks, and what makes one from the settings on a card.

A network has a frozen dataclass of its `settings`, with nothing in it that JSON does not know.
"""


def build(architecture: str, settings: Mapping[str, object]) -> Reconstructor:
    """A network of that architecture, its numbers not yet set.

    Raises:
        WeightsError: no such architecture, or settings that do not describe one of its networks.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsError(f"unknown architecture {architecture!r}; this version of restorekit knows: {known}")
    return ARCHITECTURES[architecture][1](settings)


def settings_json(network: nn.Module) -> tuple[str, dict[str, object]]:
    """The architecture's name and the settings that `build` needs to make `network` again."""
    for name, (kind, _) in ARCHITECTURES.items():
        if type(network) is kind:
            settings: dict[str, object] = json.loads(json.dumps(asdict(network.settings)))  # type: ignore[call-overload]
            return name, settings
    raise TypeError(f"{type(network).__name__} is not in the registry")
