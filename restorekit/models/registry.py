"""From the name and settings on a model card to a network, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields

from torch import nn

from restorekit.errors import WeightsError
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings

ARCHITECTURES = ("sparse-coding",)


def build(architecture: str, settings: Mapping[str, object]) -> SparseCoding:
    """A network of that architecture, its numbers not yet set.

    Raises:
        WeightsError: no such architecture, or settings that do not describe one of its networks.
    """
    if architecture != "sparse-coding":
        known = ", ".join(ARCHITECTURES)
        raise WeightsError(f"unknown architecture {architecture!r}; this version of restorekit knows: {known}")
    return SparseCoding(_sparse_coding_settings(settings))


def settings_json(network: nn.Module) -> tuple[str, dict[str, object]]:
    """The architecture's name and the settings that `build` needs to make `network` again."""
    if not isinstance(network, SparseCoding):
        raise TypeError(f"{type(network).__name__} is not in the registry")
    settings = asdict(network.settings)
    return "sparse-coding", {**settings, "knots": list(network.settings.knots)}


def _sparse_coding_settings(settings: Mapping[str, object]) -> SparseCodingSettings:
    expected = {field.name for field in fields(SparseCodingSettings)}
    if set(settings) != expected:
        odd = ", ".join(sorted(expected ^ set(settings)))
        raise WeightsError(f"settings of a sparse-coding model must be {', '.join(sorted(expected))}; at odds: {odd}")
    knots = settings["knots"]
    if not isinstance(knots, (list, tuple)) or not knots or not all(isinstance(k, (int, float)) for k in knots):
        raise WeightsError(f"setting knots of a sparse-coding model must be a list of noise levels, not {knots!r}")
    levels = tuple(float(k) for k in knots)
    if list(levels) != sorted(set(levels)) or levels[0] < 0:
        raise WeightsError(f"setting knots of a sparse-coding model must increase from 0 or more, not {knots!r}")
    return SparseCodingSettings(
        channels=_count(settings, "channels"),
        patch_size=_count(settings, "patch_size"),
        atoms=_count(settings, "atoms"),
        steps=_count(settings, "steps"),
        scales=_count(settings, "scales"),
        knots=levels,
    )


def _count(settings: Mapping[str, object], name: str) -> int:
    count = settings[name]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise WeightsError(f"setting {name} of a sparse-coding model must be a positive integer, not {count!r}")
    return count
