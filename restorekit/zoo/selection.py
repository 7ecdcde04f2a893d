"""Which model a name means, and where its file is: a path, a model shipped with the package, or one on the hub."""

from __future__ import annotations

import difflib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.image import show_path
from restorekit.models import SparseCoding
from restorekit.types import Quality
from restorekit.zoo.card import CHANNELS, ModelCard
from restorekit.zoo.hub import HUB_SYNTAX, HubReference, check_sha256, fetch, normalise_sha256
from restorekit.zoo.weights import LoadedModel, load_model, read_card

_DEFAULT_MODELS = {
    ("denoise", 1): "denoise-gray-groupsc",
    ("denoise", 3): "denoise-color-groupsc",
    ("demosaic", 3): "demosaic-color-unet",
    ("deblock", 1): "deblock-gray-unet",
    ("deblur", 1): "denoise-gray-groupsc",
    ("deblur", 3): "deblur-color-unet",
    ("superres", 1): "superres-color-enlarger",
    ("superres", 3): "superres-color-enlarger",
    ("cs-mri", 1): "cs-mri-unet",
}
"""By task and number of channels: what serves at every level, also as the prior of another task."""
_SPECIALISTS = {
    ("denoise", 1): ("denoise-gray-unet",),
    ("denoise", 3): ("denoise-color-unet",),
    ("superres", 1): ("superres-color-enlarger-4",),
    ("superres", 3): ("superres-color-enlarger-4",),
}
"""Models that are better than the default one at the levels on their cards, as far as they are installed."""
_EXPLAINED_MODELS = {("demosaic", 3): "demosaic-color-groupsc", ("deblock", 1): "deblock-gray-groupsc"}
"""What takes the place of a default model that has nothing to show where what is done is to be explained."""
_SUFFIX = ".safetensors"
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ShippedModel:
    """A model that is installed with the package."""

    card: ModelCard
    path: Path


@dataclass(frozen=True)
class ModelFile:
    """Where a model's file is; `commit` is the hub's commit it belongs to, None if it is not from the hub."""

    path: Path
    commit: str | None = None


def default_model(task: str, channels: int) -> str:
    """The name of the model that is used where none is asked for and no stand-in covers the level.

    Raises:
        ModelNotFoundError: there is none for that task and number of channels.
    """
    try:
        return _DEFAULT_MODELS[task, channels]
    except KeyError:
        known = ", ".join(f"{task} with {channels}" for task, channels in _DEFAULT_MODELS)
        raise ModelNotFoundError(f"no default model for {task} with {channels} channels; there is: {known}") from None


def default_models(task: str, *, explained: bool = False) -> dict[int, str]:
    """The names of a task's default models by number of channels, the least first.

    explained: whether what they do is to be explained.
    """
    models = _DEFAULT_MODELS | (_EXPLAINED_MODELS if explained else {})
    return {channels: name for (known, channels), name in sorted(models.items()) if known == task}


def default_of(path: Path) -> tuple[str, ...]:
    """The tasks that the model in a file is used for where none is asked for and nothing is to be explained.

    It may be so at some levels or for some pictures alone. No task for a file that is not installed with the package.
    """
    shipped = _shipped_files().get(path.stem)
    if shipped is None or path.resolve() != shipped.resolve():
        return ()
    named = {task: None for (task, _), name in _DEFAULT_MODELS.items() if name == path.stem}
    better = {task: None for (task, _), names in _SPECIALISTS.items() if path.stem in names}
    return tuple(named | better)


def specialists(task: str) -> dict[int, dict[str, ModelCard]]:
    """The cards of the installed models that are better at a part of a task's levels, by number of channels and name.

    Where no model is asked for, the first whose card covers the level is used, and the default one where none does.

    Raises:
        WeightsError: one of their files is damaged.
    """
    shipped = _shipped_files()
    return {
        channels: {name: read_card(shipped[name]) for name in names if name in shipped}
        for (known, channels), names in _SPECIALISTS.items()
        if known == task
    }


def weights_folder() -> Path:
    """The folder of the shipped models: inside the installed package, or at the top of a source checkout."""
    installed = _PACKAGE / "weights"
    return installed if installed.is_dir() else _PACKAGE.parent / "weights"


def shipped_models() -> tuple[ShippedModel, ...]:
    """All models installed with the package, by name.

    Raises:
        WeightsError: one of their files is damaged.
    """
    return tuple(ShippedModel(read_card(path), path) for path in _shipped_files().values())


def find(
    name_or_path: str | Path, *, revision: str | None = None, sha256: str | None = None, offline: bool = False
) -> Path:
    """The file of a model; `locate` says in addition which commit of the hub it belongs to."""
    return locate(name_or_path, revision=revision, sha256=sha256, offline=offline).path


def locate(
    name_or_path: str | Path, *, revision: str | None = None, sha256: str | None = None, offline: bool = False
) -> ModelFile:
    """Find the file of a model, fetching it from the hub if that is where it is.

    Args:
        name_or_path: the path of a file; the name of a shipped model; or, on the Hugging Face hub,
            `org/name[/FILE.safetensors][@revision][#sha256=...]`, where the file is `model.safetensors` unless named.
            A file that exists comes before a repository of the same name.
        revision: a branch, tag or commit on the hub, as after `@`.
        sha256: what the file must hash to, as after `#sha256=`.
        offline: never use the network; what is in the hub's cache is still found.

    Raises:
        ModelNotFoundError: there is no such model.
        WeightsError: the file does not have the sha256, or cannot be fetched.
        UsageError: a revision for a file that is not on the hub, a sha256 that is none, or two that differ.
    """
    expected = None if sha256 is None else normalise_sha256(sha256)
    text = str(name_or_path)
    is_name = isinstance(name_or_path, str) and not _looks_like_path(text)
    mode = 0 if is_name else _mode(Path(text))
    if stat.S_ISREG(mode):
        found = ModelFile(Path(text))
    elif is_name:
        found = ModelFile(_shipped_file(text))
    else:
        reference = HubReference.parse(text) if isinstance(name_or_path, str) else None
        if reference is None or mode:
            raise ModelNotFoundError(_no_such_file(Path(text), mode))
        reference = replace(reference, revision=_agreed("revision", reference.revision, revision))
        expected = _agreed("sha256", reference.sha256, expected)
        found = ModelFile(*fetch(reference, offline=offline))
    if found.commit is None and revision is not None:
        raise UsageError(f"{text!r} is not on the hub, so it has no revision {revision!r}")
    if expected is not None:
        check_sha256(found.path, expected)
    return found


def _looks_like_path(text: str) -> bool:
    return "/" in text or os.sep in text or text.endswith(_SUFFIX)


def _shipped_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(weights_folder().glob(f"*{_SUFFIX}"))}


def _shipped_file(name: str) -> Path:
    known = _shipped_files()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ModelNotFoundError(
        f"no model is called {name[:80]!r}; {hint}Known are {', '.join(known) or 'none'}, "
        f"the path of a {_SUFFIX} file, and {HUB_SYNTAX} on the Hugging Face hub"
    )


def _mode(path: Path) -> int:
    """The mode bits of what is at the path, 0 if there is nothing or the path is impossible."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _no_such_file(path: Path, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return f"{show_path(path)}: a folder, not a model; name the {_SUFFIX} file in it"
    if mode:
        return f"{show_path(path)}: not a regular file; expected a {_SUFFIX} file"
    return f"{show_path(path)}: no such file; a model on the Hugging Face hub is written {HUB_SYNTAX}"


def _agreed(what: str, named: str | None, asked: str | None) -> str | None:
    if named is not None and asked is not None and named != asked:
        raise UsageError(f"the name of the model says {what} {named!r}, the option {asked!r}; give one of them")
    return asked if named is None else named


PRIOR_TASK = "denoise"
"""What the models are made for that can be the prior of other tasks."""
_TAKE_PRIORS = ("deblur", "superres")
"""The tasks that are done with a denoiser as well as with a model trained for them."""

_FAINT_NOISE, _STRONG_NOISE = 1, 50
"""On the scale 0..255: solvers ask their prior to remove much at the beginning and little at the end."""


class ModelSelection:
    """The model that was named, or the default one of the task, which for some tasks depends on the picture.

    To denoise there is a default model for grey and one for colour pictures; a demosaicked picture has always three
    channels, and what is deblocked always one, so that these tasks have one default, and take no other kind of model.
    Where the level of the degradation is known, such as the noise level or the scale to enlarge by, a model that is
    better at it may stand in for the default.
    Tasks with a prior take models that were trained for them, and denoisers for all levels.

    Args:
        task: one of `zoo.card.TASKS`.
        model: a loaded one, a name or the path of a weights file, or None for the default models.
        offline: never ask the hub.
        explained: whether what is done is to be explained, for which U-Nets have nothing to show.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model named is not there, damaged, or of another task
            or only a part of the levels that a prior needs. UsageError: it is to be explained and has no atoms.

    """

    def __init__(
        self, task: str, model: LoadedModel | str | None, *, offline: bool = False, explained: bool = False
    ) -> None:
        self._task = task
        self._offline = offline
        self._explained = explained
        self._names = default_models(task, explained=explained)
        self._defaults: dict[str, LoadedModel] = {}
        self._given = load_model(find(model, offline=offline)) if isinstance(model, str) else model
        if self._given is not None:
            self._check(self._given)

    @property
    def task(self) -> str:
        """The task whose defaults are chosen from; denoisers may do another, as its prior."""
        return self._task

    @property
    def name(self) -> str:
        """The name of the model that was named, or of the only default, or else `default`; see `note`."""
        if self._given is not None:
            return self._given.card.name
        names = {*self._names.values(), *(name for cards in self._specialists.values() for name in cards)}
        return names.pop() if len(names) == 1 else "default"

    def name_at(self, quality: Quality) -> str:
        """What tables of an evaluation call it, such as `denoise-gray-sc (best)`."""
        return f"{self.name} ({quality.value})"

    @property
    def note(self) -> str:
        """Which models the name `default` stands for; empty if there is no such question."""
        if self.name != "default":
            return ""
        orders = {channels: self._order(channels) for channels in self._names}
        if len(set(orders.values())) == 1:
            return f"default: {orders.popitem()[1]}"
        return f"default: {'; '.join(f'for {CHANNELS[channels]} images {order}' for channels, order in orders.items())}"

    def _order(self, channels: int) -> str:
        """Which model is used up to, or at, which level."""
        better = []
        for name, card in self._specialists.get(channels, {}).items():
            low, high = card.level_range
            better.append(f"{name} {'at' if low == high else 'up to'} {high:g}")
        general = self._names[channels]
        return ", ".join([*better, f"else {general}"]) if better else general

    def candidates(self, level: float | None = None) -> tuple[LoadedModel, ...]:
        """The models in question at a level, see `fitting`: the one that was named, or the default ones.

        A default model that is not installed is missed when a picture needs it.
        """
        if self._given is not None:
            return (self._given,)
        found = []
        for channels in self._names:
            with suppress(ModelNotFoundError):
                found.append(self._default(channels, level))
        return tuple(found)

    def fitting(self, channels: int, level: float | None = None) -> LoadedModel:
        """The model for pictures of 1 or 3 channels.

        level: of their degradation, as in `ModelCard.level_range`; None if the model has to serve at every level.

        Raises:
            ModelMismatchError: the model named is for others. ModelNotFoundError: the default one is not installed.
            WeightsError: the default one, or one that may stand in for it, is damaged.
        """
        if self._given is None:
            return self._default(channels, level)
        if self._given.card.channels != channels and not self._is_default(self._given, channels):
            raise ModelMismatchError(
                f"a {CHANNELS[channels]} picture, but {self._given.card.name} is a model for "
                f"{CHANNELS[self._given.card.channels]} ones; {self._names[channels]} would fit"
            )
        return self._given

    def _is_default(self, model: LoadedModel, channels: int) -> bool:
        """Whether pictures of so many channels have the model by default, which then takes both kinds of them."""
        return model.card.name == self._names[channels] or model.card.name in self._specialists.get(channels, {})

    @cached_property
    def _specialists(self) -> dict[int, dict[str, ModelCard]]:
        return {} if self._explained else specialists(self._task)

    def _default_name(self, channels: int, level: float | None) -> str:
        if level is not None:
            for name, card in self._specialists.get(channels, {}).items():
                if card.covers(level):
                    return name
        return self._names[channels]

    def _default(self, channels: int, level: float | None) -> LoadedModel:
        name = self._default_name(channels, level)
        if name not in self._defaults:
            try:
                path = find(name, offline=self._offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(
                    f"{name}, the default model to {self._task}, is not installed; name another with --model"
                ) from error
            self._defaults[name] = load_model(path)
        return self._defaults[name]

    def _check(self, model: LoadedModel) -> None:
        """Raise ModelMismatchError for a model of another task, or of channels that the task has no use for.

        Raise UsageError for one that has nothing to show where it is to be explained.
        """
        card, usable = model.card, " and ".join(dict.fromkeys(self._names.values()))
        tasks = (self._task, PRIOR_TASK) if self._task in _TAKE_PRIORS else (self._task,)
        if card.task not in tasks:
            raise ModelMismatchError(f"{card.name} is a model to {card.task}, not to {self._task}; {usable} would fit")
        if card.channels not in self._names:
            wanted = " or ".join(CHANNELS[channels] for channels in self._names)
            raise ModelMismatchError(
                f"{card.name} is for {CHANNELS[card.channels]} images, and to {self._task} takes one for {wanted} "
                f"images; {usable} would fit"
            )
        if self._task != PRIOR_TASK and card.task == PRIOR_TASK:
            check_prior(card)
        if self._explained:
            sparse_coding_of(model)


def check_prior(card: ModelCard) -> None:
    """Raise ModelMismatchError for a denoiser that can be no prior, for it was made for a part of the levels alone."""
    low, high = card.level_range
    if low > _FAINT_NOISE or high < _STRONG_NOISE:
        raise ModelMismatchError(
            f"{card.name} was made for noise of sigma {low:g} to {high:g} alone, and a prior has to remove noise from "
            f"{_FAINT_NOISE} to {_STRONG_NOISE}; {default_model(PRIOR_TASK, card.channels)} would fit"
        )


def sparse_coding_of(model: LoadedModel) -> SparseCoding:
    """The network of a model that codes patches, and nothing else. Raises UsageError for any other."""
    if not isinstance(model.network, SparseCoding):
        raise UsageError(
            f"{model.card.name} has no atoms that could explain what it does; name a model to denoise, demosaic or "
            "deblock that ends in -sc or -groupsc"
        )
    return model.network
