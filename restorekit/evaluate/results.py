"""What an evaluation found: scores by method and level of the degradation, and a few crops to look at."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

from restorekit.errors import UsageError
from restorekit.image import show_path
from restorekit.pages.figures import Pixels8
from restorekit.tasks.base import Condition
from restorekit.zoo import CardFigure, ModelCard, load_weights, save_weights


@dataclass(frozen=True)
class Score:
    """One output against its clean image. PSNR in dB (infinite for equal images); seconds of the method alone."""

    image: str
    psnr: float
    ssim: float
    seconds: float
    megapixels: float


@dataclass(frozen=True)
class MethodResult:
    """One method at one level, a score for each image."""

    method: str
    condition: Condition
    scores: tuple[Score, ...]

    @property
    def psnr(self) -> float:
        """Mean over images of the PSNR of each, in dB."""
        return fmean(score.psnr for score in self.scores)

    @property
    def ssim(self) -> float:
        """Mean over images."""
        return fmean(score.ssim for score in self.scores)

    @property
    def seconds(self) -> float:
        """Over all images together."""
        return sum(score.seconds for score in self.scores)

    @property
    def megapixels_per_second(self) -> float:
        """Over all images together."""
        return sum(score.megapixels for score in self.scores) / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be scored, and why."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class Panel:
    """A method's output within a crop, with the PSNR of the whole image and of the crop alone."""

    method: str
    condition: Condition
    pixels: Pixels8
    psnr: float
    crop_psnr: float


@dataclass(frozen=True, eq=False)
class Crop:
    """The most detailed part of one image: clean, and as each method gave it (what was observed first, per level)."""

    image: str
    left: int
    top: int
    clean: Pixels8
    panels: tuple[Panel, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A whole evaluation. `results` go by method, then by level, both in the order asked for.

    axis: what a level is called in JSON. untouched: the name of the method that does nothing, whose speed says nothing.
    notes: remarks on the methods.
    """

    task: str
    axis: str
    dataset: str
    protocol: str
    seed: int
    device: str
    versions: tuple[tuple[str, str], ...]
    untouched: str | None
    notes: tuple[str, ...]
    results: tuple[MethodResult, ...]
    skipped: tuple[Skipped, ...]
    crops: tuple[Crop, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Names in the order asked for."""
        return tuple(dict.fromkeys(result.method for result in self.results))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """In the order asked for."""
        return tuple(dict.fromkeys(result.condition for result in self.results))

    @property
    def images(self) -> tuple[str, ...]:
        """Those that were scored."""
        return tuple(score.image for score in self.results[0].scores)

    def result(self, method: str, condition: Condition) -> MethodResult:
        """The scores of one method at one level."""
        return next(result for result in self.results if (result.method, result.condition) == (method, condition))

    def megapixels_per_second(self, method: str) -> float | None:
        """Over all images and levels together; None for the method that does nothing."""
        if method == self.untouched:
            return None
        scores = [score for result in self.results if result.method == method for score in result.scores]
        return sum(score.megapixels for score in scores) / max(sum(score.seconds for score in scores), 1e-9)

    def to_json(self) -> str:
        """Everything but the crops. A result has its level under the name of the axis, and `level` as a model card has
        it; an infinite PSNR is null.
        """
        return json.dumps(
            {
                "task": self.task,
                "axis": self.axis,
                "dataset": self.dataset,
                "count": len(self.images),
                "protocol": self.protocol,
                "seed": self.seed,
                "device": self.device,
                "versions": dict(self.versions),
                "notes": self.notes,
                "results": [_describe(result, self.axis) for result in self.results],
                "skipped": [asdict(skipped) for skipped in self.skipped],
            },
            indent=2,
            ensure_ascii=False,
            allow_nan=False,
        )


def _describe(result: MethodResult, axis: str) -> dict[str, object]:
    return {
        "method": result.method,
        axis: result.condition.value,
        "level": result.condition.on_card,
        "psnr": _finite(result.psnr),
        "ssim": _finite(result.ssim),
        "seconds": result.seconds,
        "megapixels_per_second": result.megapixels_per_second,
        "images": [
            asdict(score) | {"psnr": _finite(score.psnr), "ssim": _finite(score.ssim)} for score in result.scores
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def record_measurements(weights: Path, evaluation: Path) -> ModelCard:
    """Put the means of an evaluation (its JSON) that are of the model in `weights` on the model's card.

    Figures for the same data set, level and quality are replaced, others kept. The file is rewritten atomically.

    Returns:
        The new card.

    Raises:
        WeightsError: the weights file is damaged. UsageError: the JSON is no evaluation, or not of this model, or tells
            levels apart that a card does not (patterns of a mosaic, MRI masks of one rate), or is of another task, in
            which the model was a prior.
    """
    card, tensors = load_weights(weights)
    try:
        document = json.loads(evaluation.read_text("utf-8"))
        task = document["task"]
        found = [
            CardFigure(
                document["dataset"],
                _level(entry, document["axis"]),
                quality,
                round(entry["psnr"], 4),
                round(entry["ssim"], 4),
            )
            for entry in document["results"]
            if (quality := _quality(entry["method"], card.name))
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{show_path(evaluation)} is not the JSON of an evaluation ({error})") from error
    if task != card.task:
        raise UsageError(f"{show_path(evaluation)} measures how to {task}, and {card.name} is a model to {card.task}")
    if not found:
        raise UsageError(
            f"{show_path(evaluation)} has no figures for {card.name}; evaluate it with --model {card.name}"
        )
    new = {(one.dataset, one.conditioning, one.quality) for one in found}
    if len(new) < len(found):
        raise UsageError(
            f"{show_path(evaluation)} has figures of several {document['axis']}s, which a card cannot tell apart; "
            "record an evaluation with one"
        )
    kept = [one for one in card.measured if (one.dataset, one.conditioning, one.quality) not in new]
    ordered = sorted([*kept, *found], key=lambda one: (one.dataset, one.quality, one.conditioning))
    card = replace(card, measured=tuple(ordered))
    save_weights(weights, tensors, card)
    return card


def _level(entry: Mapping[str, object], axis: str) -> float:
    """The level on a card; evaluations by restorekit 0.1 have it under the name of the axis alone."""
    level = entry.get("level", entry[axis])
    return float(level) if isinstance(level, (int, float)) else 0.0


def _quality(method: str, name: str) -> str | None:
    """The quality in a method's name such as `denoise-gray-sc (best)`, if it is of the model `name`."""
    match = re.fullmatch(rf"{re.escape(name)} \((\w+)\)", method)
    return match[1] if match else None
