"""The model card: what a weights file says about itself, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TypeGuard, TypeVar

from restorekit.errors import WeightsError

FORMAT_VERSION = 2
TASKS = ("denoise", "demosaic", "deblock", "deblur", "superres", "cs-mri")
CHANNELS = {1: "grey", 2: "complex", 3: "colour"}
"""The numbers of channels that images have, and what images of so many are called."""

_LARGEST_NUMBER = 1e12
_SHA256 = re.compile("[0-9a-f]{64}")
_Choice = TypeVar("_Choice", str, int)


@dataclass(frozen=True)
class CardFigure:
    """Mean quality of a model over a data set at one level of its degradation.

    dataset: its name, such as "BSD68". level: as in `ModelCard.level_range`. quality: the `--quality` it was measured
    with. psnr: in dB. ssim: in [-1, 1], or None where it was not measured.
    """

    dataset: str
    conditioning: float
    quality: str
    psnr: float
    ssim: float | None = None


@dataclass(frozen=True)
class ModelCard:
    """Everything needed to build a model again, and to judge it.

    name: what users call it, and the file's name without the suffix. architecture, settings: what `models.build` takes.
    task: one of `TASKS`. channels: 1 grey, 2 complex, 3 RGB. level_range: least and greatest level of the degradation
    it was made for: the noise level on the 0..255 scale to denoise and to deblur, the JPEG quality factor to deblock,
    the scale for super-resolution, the sampling rate in percent for cs-mri, 0 and 0 to demosaic, which knows no levels.
    parameters: how many numbers were learned. description: one sentence for people. recipe,
    recipe_sha256: the training recipe's name and the hash of its text. training_data: where the images came from.
    steps: after how many steps of the run its weights were best. package_version: of the restorekit that wrote the
    file. licence: an SPDX identifier. measured: how well it does.
    """

    name: str
    architecture: str
    settings: Mapping[str, object]
    task: str
    channels: int
    conditioning_range: tuple[float, float]
    parameters: int
    description: str
    recipe: str
    recipe_sha256: str
    training_data: str
    steps: int
    package_version: str
    licence: str
    measured: tuple[CardFigure, ...] = ()

    def covers(self, level: float) -> bool:
        """Whether the model was made for a level, up to the rounding that a change of scale costs."""
        low, high = self.conditioning_range
        return low <= round(level, 6) <= high

    @property
    def range_text(self) -> str:
        """The range of levels, such as "2 to 4", or the only one."""
        low, high = self.conditioning_range
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"

    def to_json(self) -> str:
        """The card as a JSON object: its fields, and `format`, the version of this layout."""
        d = asdict(self)
        d["level_range"] = d.pop("conditioning_range")
        for m in d["measured"]:
            m["level"] = m.pop("conditioning")
        return json.dumps({"format": FORMAT_VERSION, **d}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card that `to_json` made.

        Raises:
            WeightsError: no JSON object, another format, a missing or unknown key, or a value that makes no sense.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the model card is not valid JSON ({error})") from error
        if not isinstance(document, dict):
            raise WeightsError(f"the model card must be a JSON object, not {_shorten(document)}")
        if document.get("format") != FORMAT_VERSION:
            raise WeightsError(
                f"the model card has format {_shorten(document.get('format'))}, "
                f"this version of restorekit reads {FORMAT_VERSION}; upgrade restorekit or export the model again"
            )
        _check_keys(
            document,
            ["format", *(field.name.replace("conditioning_range", "level_range") for field in fields(cls))],
            "the model card",
        )
        card = _Reader(document, "the model card")
        return cls(
            name=card.text("name"),
            architecture=card.text("architecture"),
            settings=card.mapping("settings"),
            task=card.text("task"),
            channels=card.one_of("channels", tuple(CHANNELS)),
            conditioning_range=card.interval("level_range"),
            parameters=card.count("parameters"),
            description=card.text("description"),
            recipe=card.text("recipe"),
            recipe_sha256=card.sha256("recipe_sha256"),
            training_data=card.text("training_data"),
            steps=card.count("steps"),
            package_version=card.text("package_version"),
            licence=card.text("licence"),
            measured=tuple(_measurement(entry) for entry in card.entries("measured")),
        )


def _measurement(entry: object) -> CardFigure:
    where = "a measurement on the model card"
    if not isinstance(entry, dict):
        raise WeightsError(f"{where} must be a JSON object, not {_shorten(entry)}")
    _check_keys(entry, [field.name.replace("conditioning", "level") for field in fields(CardFigure)], where)
    reader = _Reader(entry, where)
    return CardFigure(
        dataset=reader.text("dataset"),
        conditioning=reader.number("level"),
        quality=reader.text("quality"),
        psnr=reader.number("psnr"),
        ssim=None if entry["ssim"] is None else reader.number("ssim"),
    )


def _check_keys(document: Mapping[str, object], expected: list[str], where: str) -> None:
    missing = [key for key in expected if key not in document]
    unknown = [key for key in document if key not in expected]
    if missing or unknown:
        faults = [f"lacks {_shorten(key)}" for key in missing] + [
            f"has the unknown key {_shorten(key)}" for key in unknown
        ]
        raise WeightsError(f"{where} {faults[0]}; expected are {', '.join(expected)}")


@dataclass(frozen=True)
class _Reader:
    """Typed look-ups in a JSON object whose keys have been checked."""

    document: Mapping[str, object]
    where: str

    def text(self, key: str) -> str:
        value = self.document[key]
        if not isinstance(value, str):
            raise self._error(key, "text")
        return value

    def sha256(self, key: str) -> str:
        value = self.text(key)
        if not _SHA256.fullmatch(value):
            raise self._error(key, "64 hexadecimal digits")
        return value

    def count(self, key: str) -> int:
        value = self.document[key]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_NUMBER:
            raise self._error(key, "a whole number, 0 or more")
        return value

    def number(self, key: str) -> float:
        value = self.document[key]
        if not _is_number(value):
            raise self._error(key, "a finite number")
        return float(value)

    def interval(self, key: str) -> tuple[float, float]:
        value = self.document[key]
        if isinstance(value, list) and len(value) == 2:
            low, high = value
            if _is_number(low) and _is_number(high) and 0 <= low <= high:
                return float(low), float(high)
        raise self._error(key, "two numbers, 0 <= least <= greatest")

    def one_of(self, key: str, choices: tuple[_Choice, ...]) -> _Choice:
        value = self.document[key]
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise self._error(key, " or ".join(map(str, choices)))

    def mapping(self, key: str) -> dict[str, object]:
        value = self.document[key]
        if not isinstance(value, dict):
            raise self._error(key, "a JSON object")
        return value

    def entries(self, key: str) -> list[object]:
        value = self.document[key]
        if not isinstance(value, list):
            raise self._error(key, "a JSON list")
        return value

    def _error(self, key: str, expected: str) -> WeightsError:
        return WeightsError(f"{self.where} has {key} = {_shorten(self.document[key])}; expected {expected}")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER


def _shorten(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
