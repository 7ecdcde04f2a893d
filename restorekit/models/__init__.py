"""Named unrolled networks: a prior, a solver and their learned numbers."""

from __future__ import annotations

from restorekit.models.base import PatchNetwork, Reconstructor, View, Window
from restorekit.models.enlarger import Enlarger
from restorekit.models.kspace import CsSparseCoding
from restorekit.models.registry import build, settings_json
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings
from restorekit.models.unrolled import UnrolledADMM
from restorekit.physics.base import Measurement

__all__ = [
    "CsSparseCoding",
    "Enlarger",
    "Measurement",
    "PatchNetwork",
    "Reconstructor",
    "SparseCoding",
    "SparseCodingSettings",
    "UnrolledADMM",
    "View",
    "Window",
    "build",
    "settings_json",
]
