"""Named unrolled networks: a prior, a solver and their learned numbers; from a model card to a network, and back."""

import json
from collections.abc import Mapping
from dataclasses import asdict

from torch import nn

from restorekit.errors import WeightsError
from restorekit.models import kspace
from restorekit.models.base import PatchNetwork, Reconstructor, View, Window
from restorekit.models.convolutional import Enlarger, EnlargerSettings, UNet, UNetSettings
from restorekit.models.kspace import CsSparseCoding
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings
from restorekit.models.unrolled import UnrolledADMM, UnrolledSettings
from restorekit.physics.base import Measurement
from restorekit.settings import Settings, read_settings

__all__ = [
    "CsSparseCoding", "Enlarger", "Measurement", "PatchNetwork", "Reconstructor", "SparseCoding",
    "SparseCodingSettings", "UnrolledADMM", "View", "Window", "build", "settings_json",
]  # fmt: skip

ARCHITECTURES: dict[str, tuple[type[Reconstructor], type[Settings]]] = {
    "sparse-coding": (SparseCoding, SparseCodingSettings),
    "unet": (UNet, UNetSettings),
    "unrolled-admm": (UnrolledADMM, UnrolledSettings),
    "enlarger": (Enlarger, EnlargerSettings),
    "cs-sc": (CsSparseCoding, kspace.CsSparseCodingSettings),
    "cs-tv": (kspace.CsTv, kspace.KspaceSettings),
    "cs-unet": (kspace.CsUNet, kspace.CsUNetSettings),
}
"""The classes of each architecture's networks, which are called with their settings, and of these settings."""

RENAMED = {"peers": "neighbours"}
"""Settings that cards of earlier versions have under another name."""


def build(architecture: str, settings: Mapping[str, object]) -> Reconstructor:
    """Return a network of that architecture, its parameters not yet trained.

    Raises WeightsError for an unknown architecture, or settings that do not describe one of its networks.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise WeightsError(f"unknown architecture {architecture!r}; this version of restorekit knows: {known}")
    network, kind = ARCHITECTURES[architecture]
    if twice := [name for name, now in RENAMED.items() if {name, now} <= settings.keys()]:
        raise WeightsError(f"settings of the {architecture} model: {twice[0]} is another name of {RENAMED[twice[0]]}")
    named = {RENAMED.get(name, name): value for name, value in settings.items()}
    made: Reconstructor = network(read_settings(kind, named, f"settings of the {architecture} model", WeightsError))
    return made


def settings_json(network: nn.Module) -> tuple[str, dict[str, object]]:
    """Return the architecture and the settings from which `build` makes `network` again."""
    for name, (kind, _) in ARCHITECTURES.items():
        if type(network) is kind:
            settings: dict[str, object] = json.loads(json.dumps(asdict(network.settings)))  # type: ignore[call-overload]
            return name, settings
    raise TypeError(f"{type(network).__name__} is not in the registry")
