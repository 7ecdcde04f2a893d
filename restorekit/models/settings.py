"""Reading the settings on a model card: typed look-ups, and one clear word where something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from restorekit.errors import WeightsError

RENAMED = {"peers": "neighbours"}
"""Settings that files of earlier versions have under another name."""


@dataclass(frozen=True)
class SettingsReader:
    """Settings of one architecture, whose names have been checked against the fields of a dataclass.

    What is not given has the default that is named here, which is that of the dataclass.
    """

    given: Mapping[str, object]
    architecture: str

    @classmethod
    def of(cls, given: Mapping[str, object], kind: type, architecture: str) -> SettingsReader:
        """A reader of the fields of `kind`. Raises WeightsError if one is missing or there are others."""
        given = {RENAMED.get(name, name): value for name, value in given.items()}
        known = fields(kind)
        missing = {field.name for field in known if field.default is MISSING} - set(given)
        if odd := missing | set(given) - {field.name for field in known}:
            expected = ", ".join(sorted(field.name for field in known))
            raise WeightsError(
                f"settings of {architecture} models must be {expected}; at odds: {', '.join(sorted(odd))}"
            )
        return cls(given, architecture)

    def count(self, name: str, least: int = 1) -> int:
        """A whole number from `least` on, which is also the default."""
        value = self.given.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(name, "a positive integer" if least else "a whole number", value)
        return value

    def counts(self, name: str) -> tuple[int, ...]:
        """Positive integers, at least one."""
        value = self.given[name]
        if not isinstance(value, (list, tuple)) or not value or not all(type(n) is int and n > 0 for n in value):
            raise self.error(name, "a list of positive integers", value)
        return tuple(value)

    def number(self, name: str) -> float:
        """A number of 0 or more."""
        value = self.given[name]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < float("inf"):
            raise self.error(name, "a number of 0 or more", value)
        return float(value)

    def switch(self, name: str) -> bool:
        """True or false; false if not given."""
        value = self.given.get(name, False)
        if not isinstance(value, bool):
            raise self.error(name, "true or false", value)
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the choices; the first if not given."""
        value = self.given.get(name, choices[0])
        if not isinstance(value, str) or value not in choices:
            raise self.error(name, f"one of {', '.join(choices)}", value)
        return value

    def levels(self, name: str) -> tuple[float, ...]:
        """Numbers that increase from 0 or more, at least one."""
        value = self.given[name]
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(k, (int, float)) for k in value):
            raise self.error(name, "a list of levels", value)
        levels = tuple(float(level) for level in value)
        if list(levels) != sorted(set(levels)) or levels[0] < 0:
            raise self.error(name, "numbers that increase from 0 or more", value)
        return levels

    def steps(self, name: str) -> tuple[int, ...]:
        """Positive integers that increase; none if not given."""
        value = self.given.get(name, ())
        if not isinstance(value, (list, tuple)) or not all(isinstance(step, int) and step > 0 for step in value):
            raise self.error(name, "a list of positive integers", value)
        if list(value) != sorted(set(value)):
            raise self.error(name, "numbers that increase", value)
        return tuple(value)

    def text(self, name: str) -> str:
        """Text."""
        value = self.given[name]
        if not isinstance(value, str):
            raise self.error(name, "text", value)
        return value

    def mapping(self, name: str, kind: type | None = None) -> SettingsReader:
        """A reader of the settings within: of the fields of `kind`, or as they are."""
        value = self.given[name]
        if not isinstance(value, Mapping):
            raise self.error(name, "a table of settings", value)
        within = f"{name} of a {self.architecture}"
        return SettingsReader(value, within) if kind is None else SettingsReader.of(value, kind, within)

    def error(self, name: str, expected: str, value: object) -> WeightsError:
        """What to raise for a value that makes no sense."""
        return WeightsError(f"setting {name} of a {self.architecture} model must be {expected}, not {value!r}")
