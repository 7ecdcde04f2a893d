"""Named unrolled networks: a prior, a solver and their learned numbers."""

from __future__ import annotations

from restorekit.models.base import PatchNetwork
from restorekit.models.registry import build, settings_json
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings

__all__ = ["PatchNetwork", "SparseCoding", "SparseCodingSettings", "build", "settings_json"]
