"""Recipes: everything that fixes a training run, read from TOML."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval, MinLen

from restorekit.errors import TrainingError, UsageError
from restorekit.settings import Settings, read_settings
from restorekit.tasks import TASKS, training_sections
from restorekit.tasks.base import FULL_SCALE, TrainingSection

RECIPES = resources.files("restorekit.train") / "recipes"
IN_255THS = ("knots", "first")  # the settings of networks that recipes have on the 0..255 scale

Count = Annotated[int, Gt(0)]
Rate = Annotated[float, Ge(0)]
Decay = Annotated[float, Interval(ge=0, lt=1)]


@dataclass(frozen=True)
class DataSettings(Settings):
    """Crops of `crop` pixels, `batch` at a time; every `validation_every`-th image is kept for validation.

    `strides` are the strides of the patch grid to train with, one a step, in turn. `margin`: how many pixels along the
    border of crops do not count, where operators take crops to be periodic. Each crop is of a picture scaled by a
    factor drawn between `shrink` and `enlarge`: a smaller picture is sharper, a larger one softer than the original.
    """

    crop: Count
    batch: Count
    strides: Annotated[tuple[Count, ...], MinLen(1)]
    validation_every: Annotated[int, Ge(2)]
    validation_crop: Count
    margin: Annotated[int, Ge(0)] = 0
    shrink: Annotated[float, Interval(gt=0, le=1)] = 1.0
    enlarge: Annotated[float, Interval(ge=1, lt=float("inf"))] = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError if no pixel counts."""
        if 2 * self.margin >= min(self.crop, self.validation_crop):
            raise ValueError(f"margin {self.margin} leaves nothing of a crop")


@dataclass(frozen=True)
class DictionarySettings(Settings):
    """The initial dictionary: mini-batch dictionary learning on `patches` centred patches, `passes` times over."""

    patches: Count
    passes: Count
    sparsity: Annotated[float, Gt(0)]


@dataclass(frozen=True)
class OptimiserSettings(Settings):
    """`steps` steps: linear warm-up, cosine decay to zero, and an exponential average of the weights.

    `matrix_rate` is for dictionaries and kernels of convolutions, `scalar_rate` for thresholds, momenta and gains.
    `precision` is that of convolutions and products of matrices; weights, average and moments are always float32.
    """

    steps: Count
    matrix_rate: Rate
    scalar_rate: Rate
    warmup: Annotated[int, Ge(0)]
    betas: tuple[Decay, Decay]
    epsilon: Annotated[float, Gt(0)]
    average_decay: Decay
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class SafetySettings(Settings):
    """Every `check_every` steps: validate, write a checkpoint, and backtrack if training lost `drop` dB.

    Backtracking returns to the last good weights and multiplies the rate by `slow_down` (Lecouat, Ponce and Mairal,
    Fully Trainable and Interpretable Non-Local Sparse Models, appendix A).
    """

    check_every: Count
    drop: Annotated[float, Ge(0)]
    slow_down: Annotated[float, Interval(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class CommonSettings(Settings):
    """The part of a recipe that all tasks share.

    A network begins from the weights of the model `warm_start`; without one, from a dictionary that is learned on the
    training images; without that, from the initial values of its architecture. `loss`: see `train.optimiser`.
    """

    name: Annotated[str, MinLen(1)]
    task: str
    description: str
    training_data: str
    seed: int
    warm_start: str = ""
    architecture: str
    settings: Mapping[str, object]
    data: DataSettings
    optimiser: OptimiserSettings
    safety: SafetySettings
    dictionary: DictionarySettings | None = None
    loss: Literal["squared", "logarithmic"] = "squared"


@dataclass(frozen=True, kw_only=True)
class Recipe(CommonSettings):
    """One training run. `sha256` is the hash of its TOML text, of that of its base and of the overrides."""

    degradation: TrainingSection
    sha256: str


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in RECIPES.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe of the package by its name, or any TOML file by its path.

    A recipe with the key `base` has all keys of the recipe of that name or path that it does not have itself, also
    within tables; a path is relative to its own folder. `overrides` are such as "optimiser.steps=2000"; the value is
    TOML, or text if it is not. The last of a key counts. Raises UsageError if there is no such recipe, or an override
    is not KEY=VALUE; TrainingError if it is not TOML, or a key is missing, unknown or has a senseless value.
    """
    where = f"recipe {name_or_path}"
    text, folder = _read(name_or_path, Path())
    try:
        table = tomllib.loads(text)
        if "base" in table:
            name = table.pop("base")
            if not isinstance(name, str) or "name" not in table:
                raise ValueError("base must be the name or path of a recipe, beside a name of its own")
            base_text = _read(name, folder)[0]
            base = tomllib.loads(base_text)
            if "base" in base:
                raise ValueError(f"its base, {base.get('name')}, has a base itself; name one without")
            table, text = _merged(base, table), base_text + text
        for override in overrides:
            _set(table, override)
    except ValueError as error:  # Errors of TOML are some.
        raise TrainingError(f"{where} cannot be read: {error}") from error
    text += "".join(f"\n--set {override}" for override in overrides)
    return _recipe(table, where, hashlib.sha256(text.encode()).hexdigest())


def _read(name_or_path: str, folder: Path) -> tuple[str, Path]:
    """Return the text of a recipe, and the folder that paths in it are relative to."""
    if name_or_path in recipe_names():
        return (RECIPES / f"{name_or_path}.toml").read_text("utf-8"), Path()
    path = folder / name_or_path
    if name_or_path.endswith(".toml") and path.is_file():
        try:
            return path.read_text("utf-8"), path.parent
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"recipe {name_or_path} cannot be read: {error}") from error
    raise UsageError(f"no recipe {name_or_path!r}: give the path of a TOML file or one of {', '.join(recipe_names())}")


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **own}
    for name in base.keys() & own.keys():
        if isinstance(base[name], dict) and isinstance(own[name], dict):
            merged[name] = _merged(base[name], own[name])
    return merged


def _set(table: dict[str, Any], override: str) -> None:
    key, equals, value = (part.strip() for part in override.partition("="))
    *path, name = key.split(".")
    if not equals or not name:
        raise UsageError(f"{override!r} sets nothing: write KEY=VALUE, such as optimiser.steps=2000")
    for part in path:
        if not isinstance(table.get(part), dict):
            raise ValueError(f"it has no table {part} to set {key} in")
        table = table[part]
    try:
        table[name] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = value


def _recipe(table: dict[str, Any], where: str, sha256: str) -> Recipe:
    sections = training_sections()
    given = [name for name in sections if name in table]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise TrainingError(f"{where} needs one of the sections {', '.join(sections)}, not {found}")
    (section,) = given
    # Read as a dictionary, so that messages name the section.
    kind: Any = GenericAlias(dict, (str, sections[section]))
    degradation = read_settings(kind, {section: table.pop(section)}, where, TrainingError)[section]
    if "settings" in table:
        table["settings"] = _in_units(table["settings"])
    common = read_settings(CommonSettings, table, where, TrainingError)
    if common.task not in TASKS:
        raise TrainingError(f"{where}: task: {common.task!r} is not one of {', '.join(TASKS)}")
    return Recipe(**vars(common), degradation=degradation, sha256=sha256)


def _in_units(value: Any, scaled: bool = False) -> Any:
    """Return settings as networks take them, with sigmas on the scale 0..1, also those within other settings."""
    if isinstance(value, dict):
        return {name: _in_units(inner, name in IN_255THS) for name, inner in value.items()}
    if isinstance(value, list):
        return [_in_units(inner, scaled) for inner in value]
    return value / FULL_SCALE if scaled and isinstance(value, (int, float)) else value
