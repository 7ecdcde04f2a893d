"""The results of an evaluation, scores by method and condition and a few crops: as JSON, a web page, on model cards."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from restorekit.errors import UsageError
from restorekit.image import show_path, write_file
from restorekit.pages.figures import Pixels8, render
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


@dataclass
class MethodResult:
    """One method under one condition. psnr, ssim: means over images; psnr in dB. seconds: the sum over images."""

    method: str
    condition: Condition
    scores: tuple[Score, ...]
    psnr: float = field(init=False)
    ssim: float = field(init=False)
    seconds: float = field(init=False)
    megapixels_per_second: float = field(init=False)

    def __post_init__(self) -> None:
        self.psnr = fmean(score.psnr for score in self.scores)
        self.ssim = fmean(score.ssim for score in self.scores)
        self.seconds = sum(score.seconds for score in self.scores)
        self.megapixels_per_second = _speed(self.scores)


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
    """The most detailed part of one image: clean, and from each method; under each condition the observation first."""

    image: str
    left: int
    top: int
    clean: Pixels8
    panels: tuple[Panel, ...]


@dataclass(eq=False)
class Evaluation:
    """A whole evaluation. Results are ordered by method, then by condition, both as the caller asked for them.

    axis: the name of a condition in JSON. untouched: the method that does nothing, whose speed says nothing. notes:
    remarks on the methods. methods, conditions, images: those of the results, in their order.
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
    methods: tuple[str, ...] = field(init=False)
    conditions: tuple[Condition, ...] = field(init=False)
    images: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.methods = tuple(dict.fromkeys(result.method for result in self.results))
        self.conditions = tuple(dict.fromkeys(result.condition for result in self.results))
        self.images = tuple(score.image for score in self.results[0].scores)

    def result(self, method: str, condition: Condition) -> MethodResult:
        """Return the scores of one method under one condition."""
        return next(result for result in self.results if (result.method, result.condition) == (method, condition))

    def megapixels_per_second(self, method: str) -> float | None:
        """Return the speed over all images and conditions; None for the method that does nothing."""
        scores = [score for result in self.results if result.method == method for score in result.scores]
        return None if method == self.untouched else _speed(scores)

    def to_json(self) -> str:
        """Return everything but the crops; an infinite PSNR is null, `level` is the condition as on a model card."""
        names = ("task", "axis", "dataset", "protocol", "seed", "device", "notes")
        document = {name: getattr(self, name) for name in names} | {
            "count": len(self.images),
            "versions": dict(self.versions),
            "results": [_describe(result, self.axis) for result in self.results],
            "skipped": [asdict(skipped) for skipped in self.skipped],
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _speed(scores: Sequence[Score]) -> float:
    return sum(score.megapixels for score in scores) / max(sum(score.seconds for score in scores), 1e-9)


def _describe(result: MethodResult, axis: str) -> dict[str, Any]:
    condition = {"method": result.method, axis: result.condition.value, "level": result.condition.on_card}
    means = {name: getattr(result, name) for name in ("psnr", "ssim", "seconds", "megapixels_per_second")}
    return condition | _finite(means) | {"images": [_finite(asdict(score)) for score in result.scores]}


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}


def write_report(evaluation: Evaluation, path: Path, *, overwrite: bool) -> None:
    """Write a self-contained HTML page: means, per-image tables, and the crops side by side.

    Raises OutputError if the file exists and `overwrite` is false, or if it cannot be written.
    """
    write_file(path, render_report(evaluation).encode(), overwrite=overwrite)


def render_report(evaluation: Evaluation) -> str:
    """Return the page that `write_report` writes."""
    return render("report.html.jinja", evaluation)


def record_measurements(weights: Path, evaluation: Path) -> ModelCard:
    """Copy mean scores from the JSON of an evaluation to the model card in a weights file; return the new card.

    Figures for the same data set, conditioning and quality are replaced, others kept. The file is rewritten atomically.
    Raises WeightsError if it is damaged; UsageError if the JSON is not an evaluation of this model in its own task, or
    has conditions that are the same to a card (patterns of a mosaic, MRI masks of one sampling rate).
    """
    card, tensors = load_weights(weights)
    shown = show_path(evaluation)
    try:
        document = json.loads(evaluation.read_text("utf-8"))
        task, axis = document["task"], document["axis"]
        results = [_card_figure(entry, document["dataset"], axis, card.name) for entry in document["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{shown} is not the JSON of an evaluation ({error})") from error
    if task != card.task:
        raise UsageError(f"{shown} measures how to {task}, and {card.name} is a model to {card.task}")
    figures = [figure for figure in results if figure is not None]
    if not figures:
        raise UsageError(f"{shown} has no figures for {card.name}; evaluate it with --model {card.name}")
    new = {_key(figure): figure for figure in figures}
    if len(new) < len(figures):
        why = f"figures of several {axis}s, which a card cannot tell apart"
        raise UsageError(f"{shown} has {why}; record an evaluation with one")
    merged = {_key(figure): figure for figure in card.measured} | new
    card = replace(card, measured=tuple(merged[key] for key in sorted(merged)))
    save_weights(weights, tensors, card)
    return card


def _key(figure: CardFigure) -> tuple[str, str, float]:
    return figure.dataset, figure.quality, figure.conditioning


def _card_figure(entry: Mapping[str, Any], dataset: str, axis: str, name: str) -> CardFigure | None:
    """Return a result for the card of a model, None if it is of a method not named like `denoise-gray-sc (best)`."""
    match = re.fullmatch(rf"{re.escape(name)} \((\w+)\)", entry["method"])
    if match is None:
        return None
    on_card = entry.get("level", entry[axis])  # restorekit 0.1 wrote the axis alone
    conditioning = float(on_card) if isinstance(on_card, (int, float)) else 0.0
    return CardFigure(dataset, conditioning, match[1], round(entry["psnr"], 4), round(entry["ssim"], 4))
