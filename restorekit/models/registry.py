"""From the name and settings on a model card to a network, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields

from torch import nn

from restorekit.errors import WeightsError
from restorekit.models.sparse_coding import SparseCoding, SparseCodingSettings

ARCHITECTURES = ("sparse-coding",)
PRIORS = ("sparse", "group", "centralised")


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
    lists = {"knots": list(network.settings.knots), "refresh": list(network.settings.refresh)}
    return "sparse-coding", {**settings, **lists}


def _sparse_coding_settings(settings: Mapping[str, object]) -> SparseCodingSettings:
    known = fields(SparseCodingSettings)
    missing = {field.name for field in known if field.default is MISSING} - set(settings)
    if odd := missing | set(settings) - {field.name for field in known}:
        expected = ", ".join(sorted(field.name for field in known))
        raise WeightsError(f"settings of a sparse-coding model must be {expected}; at odds: {', '.join(sorted(odd))}")
    given = _Settings(settings)
    made = SparseCodingSettings(
        channels=given.count("channels"),
        patch_size=given.count("patch_size"),
        atoms=given.count("atoms"),
        steps=given.count("steps"),
        knots=given.levels("knots"),
        scales=given.count("scales", 1),
        prior=given.prior("prior"),
        refresh=given.steps("refresh"),
        peers=given.count("peers", 0),
        feedback=given.switch("feedback"),
        gains=given.switch("gains"),
        masked=given.switch("masked"),
    )
    if made.refresh and made.refresh[-1] >= made.steps:
        raise WeightsError(f"setting refresh of a sparse-coding model must name steps below {made.steps}")
    if made.prior != "sparse" and not (made.refresh and made.peers):
        raise WeightsError(f"a sparse-coding model with the {made.prior} prior needs the settings refresh and peers")
    return made


@dataclass(frozen=True)
class _Settings:
    """Typed look-ups; what is not given has the default of `SparseCodingSettings`."""

    given: Mapping[str, object]

    def count(self, name: str, least: int = 1) -> int:
        value = self.given.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._error(name, "a positive integer" if least else "a whole number", value)
        return value

    def switch(self, name: str) -> bool:
        value = self.given.get(name, False)
        if not isinstance(value, bool):
            raise self._error(name, "true or false", value)
        return value

    def prior(self, name: str) -> str:
        value = self.given.get(name, "sparse")
        if not isinstance(value, str) or value not in PRIORS:
            raise self._error(name, f"one of {', '.join(PRIORS)}", value)
        return value

    def levels(self, name: str) -> tuple[float, ...]:
        value = self.given[name]
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(k, (int, float)) for k in value):
            raise self._error(name, "a list of levels", value)
        levels = tuple(float(level) for level in value)
        if list(levels) != sorted(set(levels)) or levels[0] < 0:
            raise self._error(name, "numbers that increase from 0 or more", value)
        return levels

    def steps(self, name: str) -> tuple[int, ...]:
        value = self.given.get(name, ())
        if not isinstance(value, (list, tuple)) or not all(isinstance(step, int) and step > 0 for step in value):
            raise self._error(name, "a list of positive integers", value)
        if list(value) != sorted(set(value)):
            raise self._error(name, "numbers that increase", value)
        return tuple(value)

    @staticmethod
    def _error(name: str, expected: str, value: object) -> WeightsError:
        return WeightsError(f"setting {name} of a sparse-coding model must be {expected}, not {value!r}")
