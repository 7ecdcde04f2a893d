"""Recipes: everything that fixes a training run, read from TOML."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch

from restorekit.errors import TrainingError, UsageError
from restorekit.tasks import training_sections
from restorekit.tasks.base import TrainingSection as Degradation

LOGARITHMIC = "logarithmic"
LOSSES = ("squared", LOGARITHMIC)
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class DataSettings:
    """Crops of `crop` pixels, `batch` at a time; every `validation_every`-th image is kept for validation.

    `strides` are the strides of the patch grid to train with, taken in turn, one a step. `margin`: pixels along the
    border of crops that do not count where operators take crops to be periodic. Each crop is of a picture scaled by a
    factor drawn between `shrink` and `enlarge`: what is made smaller is sharper, what is made larger softer than it
    was.
    """

    crop: int
    batch: int
    strides: tuple[int, ...]
    validation_every: int
    validation_crop: int
    margin: int = 0
    shrink: float = 1.0
    enlarge: float = 1.0


@dataclass(frozen=True)
class DictionarySettings:
    """The initial dictionary: mini-batch dictionary learning on `patches` centred patches, `passes` times over."""

    patches: int
    passes: int
    sparsity: float


@dataclass(frozen=True)
class OptimiserSettings:
    """SOAP for `steps` steps: linear warm-up, cosine decay to zero, and an exponential average of the weights.

    `matrix_rate` is for dictionaries and kernels of convolutions, `scalar_rate` for thresholds, momenta and gains.
    `precision` is that of convolutions and products of matrices, one of `PRECISIONS`; the weights, their average and
    their optimiser have single precision always.
    """

    steps: int
    matrix_rate: float
    scalar_rate: float
    warmup: int
    betas: tuple[float, float]
    epsilon: float
    average_decay: float
    precision: str = "float32"


@dataclass(frozen=True)
class SafetySettings:
    """Every `check_every` steps: validate, write a checkpoint, and backtrack if training lost `drop` dB.

    Backtracking returns to the last good weights and multiplies the rate by `slow_down` (Lecouat, Ponce and Mairal,
    Fully Trainable and Interpretable Non-Local Sparse Models, appendix A).
    """

    check_every: int
    drop: float
    slow_down: float


@dataclass(frozen=True)
class Recipe:
    """One training run. `sha256` is the hash of the TOML text, behind that of the recipe it is based on.

    A network begins from the numbers of the model `warm_start`, or from a dictionary that is learned on the training
    images, or, where there is neither, from the initial values that its architecture has. `loss` is one of `LOSSES`,
    see `train.objective`.
    """

    name: str
    task: str
    description: str
    training_data: str
    seed: int
    warm_start: str
    architecture: str
    settings: Mapping[str, object]
    data: DataSettings
    degradation: Degradation
    optimiser: OptimiserSettings
    safety: SafetySettings
    sha256: str
    dictionary: DictionarySettings | None = None
    loss: str = LOSSES[0]


def recipe_names() -> list[str]:
    """The recipes in the package."""
    folder = resources.files("restorekit.train") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe of the package by its name, or any TOML file by its path.

    A recipe with the key `base` differs from the recipe of that name or path in the keys that it has itself, also
    within tables; a path is relative to its own folder.

    Raises:
        UsageError: there is no such recipe.
        TrainingError: it is not TOML, or a setting is missing, unknown or of the wrong type; or so with its base.
    """
    text, folder = _read(name_or_path, Path())
    try:
        table = tomllib.loads(text)
        if "base" in table:
            base = _read(_base_of(table), folder)[0]
            table = _merged(_whole(tomllib.loads(base)), table)
            text = base + text
        return _recipe(table, hashlib.sha256(text.encode()).hexdigest())
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"recipe {name_or_path} cannot be read: {error}") from error


def _read(name_or_path: str, folder: Path) -> tuple[str, Path]:
    """The text of a recipe, and the folder that paths in it are relative to."""
    if name_or_path in recipe_names():
        entry = resources.files("restorekit.train") / "recipes" / f"{name_or_path}.toml"
        return entry.read_text("utf-8"), Path()
    path = folder / name_or_path
    if name_or_path.endswith(".toml") and path.is_file():
        return path.read_text("utf-8"), path.parent
    raise UsageError(f"no recipe {name_or_path!r}: give the path of a TOML file or one of {', '.join(recipe_names())}")


def _base_of(table: dict[str, Any]) -> str:
    """Takes `base` out of a recipe, which needs a name of its own, for its weights are others."""
    base = table.pop("base")
    if not isinstance(base, str) or "name" not in table:
        raise ValueError("base must be the name or path of a recipe, beside a name of its own")
    return base


def _whole(base: dict[str, Any]) -> dict[str, Any]:
    """One level of bases is enough, and leaves at most two files to read."""
    if "base" in base:
        raise ValueError(f"its base, {base.get('name')}, has a base itself; name one that has not")
    return base


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `own` in the place of those of `base`; tables of both, key by key."""
    merged = {**base, **own}
    for name in base.keys() & own.keys():
        if isinstance(base[name], dict) and isinstance(own[name], dict):
            merged[name] = _merged(base[name], own[name])
    return merged


def _recipe(table: dict[str, Any], sha256: str) -> Recipe:
    settings = _in_units(table.pop("settings"))
    sections: dict[str, object] = {
        "data": _section(DataSettings, table.pop("data")),
        "degradation": _degradation(table),
        "optimiser": _section(OptimiserSettings, table.pop("optimiser")),
        "safety": _section(SafetySettings, table.pop("safety")),
    }
    if "dictionary" in table:
        sections["dictionary"] = _section(DictionarySettings, table.pop("dictionary"))
    everything = {"warm_start": "", **table, **sections, "settings": MappingProxyType(settings), "sha256": sha256}
    recipe = _section(Recipe, everything)
    if recipe.loss not in LOSSES:
        raise ValueError(f"loss {recipe.loss!r}: use one of {', '.join(LOSSES)}")
    if recipe.optimiser.precision not in PRECISIONS:
        raise ValueError(f"precision {recipe.optimiser.precision!r}: use one of {', '.join(PRECISIONS)}")
    if not 0 < recipe.data.shrink <= 1:
        raise ValueError(f"shrink {recipe.data.shrink}: use a factor above 0, at most 1")
    if not 1 <= recipe.data.enlarge < math.inf:
        raise ValueError(f"enlarge {recipe.data.enlarge}: use a finite factor of at least 1")
    return recipe


def _in_units(settings: Mapping[str, Any]) -> dict[str, object]:
    """Settings as networks take them, with levels on the scale 0..1; so too within other settings."""
    converted: dict[str, object] = {}
    for name, value in settings.items():
        if name == "knots":
            converted[name] = [level / 255.0 for level in value]
        elif name == "first":
            converted[name] = value / 255.0
        else:
            converted[name] = _in_units(value) if isinstance(value, dict) else value
    return converted


def _degradation(table: dict[str, Any]) -> Degradation:
    given = [name for name in training_sections() if name in table]
    if len(given) != 1:
        raise ValueError(
            f"one of the sections {', '.join(training_sections())} is needed, not {', '.join(given) or 'none'}"
        )
    return _section(training_sections()[given[0]], table.pop(given[0]))


_Section = TypeVar("_Section")


def _section(kind: type[_Section], table: Mapping[str, Any]) -> _Section:
    known = fields(kind)  # type: ignore[arg-type]
    missing = {field.name for field in known if field.default is MISSING} - set(table)
    if odd := sorted(missing | set(table) - {field.name for field in known}):
        raise ValueError(f"{kind.__name__} at odds in {', '.join(odd)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in table.items()})
