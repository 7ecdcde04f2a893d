"""Writing what an evaluation measured onto the card of the model it measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from restorekit.errors import UsageError
from restorekit.image import show_path
from restorekit.zoo import Measurement, ModelCard, load_weights, save_weights


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
            Measurement(
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
    new = {(one.dataset, one.level, one.quality) for one in found}
    if len(new) < len(found):
        raise UsageError(
            f"{show_path(evaluation)} has figures of several {document['axis']}s, which a card cannot tell apart; "
            "record an evaluation with one"
        )
    kept = [one for one in card.measured if (one.dataset, one.level, one.quality) not in new]
    ordered = sorted([*kept, *found], key=lambda one: (one.dataset, one.quality, one.level))
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
