"""Named unrolled networks: a prior, a solver and their learned numbers."""

from __future__ import annotations

from restorekit.models.base import Network, PatchNetwork, ReconstructionNetwork, Recording, View, Window
from restorekit.models.cs_sc import CsSparseCoding
from restorekit.models.enlarger import Enlarger
from restorekit.models.registry import AnyNetwork, build, settings_json
from restorekit.models.sparse_coding import SparseCoding
from restorekit.models.sparse_coding_settings import SparseCodingSettings
from restorekit.models.unrolled import UnrolledADMM

__all__ = [
    "AnyNetwork",
    "CsSparseCoding",
    "Enlarger",
    "Network",
    "PatchNetwork",
    "ReconstructionNetwork",
    "Recording",
    "SparseCoding",
    "SparseCodingSettings",
    "UnrolledADMM",
    "View",
    "Window",
    "build",
    "settings_json",
]
