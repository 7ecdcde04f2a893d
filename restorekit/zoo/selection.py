"""Which model restores a picture, and where its file is: a path, a model of the package, or one on the hub."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.image import show_path
from restorekit.models import SparseCoding
from restorekit.types import CHANNELS, DefaultModels, Quality
from restorekit.zoo.card import ModelCard
from restorekit.zoo.hub import HUB_SYNTAX, HubReference, check_sha256, fetch, normalise_sha256
from restorekit.zoo.weights import LoadedModel, load_model, read_card

PRIOR_TASK = "denoise"
"""The task of models that can be the prior of other tasks."""
_FAINT_NOISE, _STRONG_NOISE = 1, 50
"""On the scale 0..255: solvers ask their prior to remove much noise at the beginning and little at the end."""
_SUFFIX = ".safetensors"
_PACKAGE = Path(__file__).resolve().parents[1]


class ModelSelection:
    """The model that was named, or the default ones of a task.

    A task may have a default model for grey and one for colour pictures, and specialists that are better within the
    range on their cards. A task that takes denoisers uses them as the prior of a solver; such a denoiser has to remove
    noise of all strengths.

    Args:
        task: its name.
        defaults: its default models.
        model: a loaded model, the name of one, the path of a weights file, or None for the default models.
        offline: never ask the hub.
        explained: choose models whose steps `--explain` can show.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model named is not there, is damaged, or is made for
            another task. UsageError: it has no atoms to explain.
    """

    def __init__(
        self,
        task: str,
        defaults: DefaultModels,
        model: LoadedModel | str | None = None,
        *,
        offline: bool = False,
        explained: bool = False,
    ) -> None:
        self.task, self.defaults = task, defaults
        self._offline, self._explained = offline, explained
        self._general = {**defaults.general, **(defaults.explained if explained else {})}
        self._loaded: dict[str, LoadedModel] = {}
        self.named = load_model(find(model, offline=offline)) if isinstance(model, str) else model
        if self.named is not None:
            self._check(self.named)

    @property
    def name(self) -> str:
        """The name of the model that was named or of the only default, else `default`; see `note`."""
        if self.named is not None:
            return self.named.card.name
        names = {*self._general.values(), *(name for cards in self._specialists.values() for name in cards)}
        return names.pop() if len(names) == 1 else "default"

    def name_at(self, quality: Quality) -> str:
        """Return the name in tables of an evaluation, such as `denoise-gray-sc (best)`."""
        return f"{self.name} ({quality.value})"

    @property
    def note(self) -> str:
        """Which models the name `default` stands for; empty where the name says it."""
        if self.name != "default":
            return ""
        orders = {channels: self._order(channels) for channels in self._general}
        if len(set(orders.values())) == 1:
            return f"default: {orders.popitem()[1]}"
        return f"default: {'; '.join(f'for {CHANNELS[channels]} images {order}' for channels, order in orders.items())}"

    def cards(self, conditioning: float | None = None) -> tuple[ModelCard, ...]:
        """Return the cards of the models that may be used, without loading them.

        A default model that is not installed is missed when a picture needs it.

        Args:
            conditioning: how strong the degradation is, in the units of the cards; None if the model has to serve all.
        """
        if self.named is not None:
            return (self.named.card,)
        names = dict.fromkeys(self._default_name(channels, conditioning) for channels in self._general)
        shipped = shipped_files()
        return tuple(read_card(shipped[name]) for name in names if name in shipped)

    def preload(self, conditioning: float | None = None) -> None:
        """Load the models that may be used, so that no measurement of time includes it."""
        for card in self.cards(conditioning):
            if self.named is None:
                self._load(card.name)

    def fitting(self, channels: int, conditioning: float | None = None) -> LoadedModel:
        """Return the model for pictures of 1 or 3 channels, loaded when it is first needed.

        Args:
            channels: of the picture.
            conditioning: see `cards`.

        Raises:
            ModelMismatchError: the model named is for others. ModelNotFoundError: the default one is not installed.
            WeightsError: it is damaged.
        """
        if channels not in self._general:
            known = " or ".join(CHANNELS[known] for known in self._general)
            raise ModelMismatchError(f"a {CHANNELS[channels]} picture; {self.task} takes {known} ones")
        if self.named is None:
            return self._load(self._default_name(channels, conditioning))
        card = self.named.card
        # A default model for both kinds of pictures takes both, also where it is named.
        both = {self._general[channels], *self.defaults.specialists.get(channels, ())}
        if card.channels != channels and card.name not in both:
            raise ModelMismatchError(
                f"a {CHANNELS[channels]} picture, but {card.name} is a model for {CHANNELS[card.channels]} ones; "
                f"{self._general[channels]} would fit"
            )
        return self.named

    @cached_property
    def _specialists(self) -> dict[int, dict[str, ModelCard]]:
        """The cards of the installed specialists by number of channels and name; the first that covers is used."""
        if self._explained:
            return {}
        shipped = shipped_files()
        return {
            channels: {name: read_card(shipped[name]) for name in names if name in shipped}
            for channels, names in self.defaults.specialists.items()
        }

    def _order(self, channels: int) -> str:
        """Return which model is used up to, or at, which conditioning."""
        better = []
        for name, card in self._specialists.get(channels, {}).items():
            low, high = card.conditioning_range
            better.append(f"{name} {'at' if low == high else 'up to'} {high:g}")
        general = self._general[channels]
        return ", ".join([*better, f"else {general}"]) if better else general

    def _default_name(self, channels: int, conditioning: float | None) -> str:
        if conditioning is not None:
            for name, card in self._specialists.get(channels, {}).items():
                if card.covers(conditioning):
                    return name
        return self._general[channels]

    def _load(self, name: str) -> LoadedModel:
        if name not in self._loaded:
            try:
                path = find(name, offline=self._offline)
            except ModelNotFoundError as error:
                raise ModelNotFoundError(
                    f"{name}, the default model to {self.task}, is not installed; name another with --model"
                ) from error
            self._loaded[name] = load_model(path)
        return self._loaded[name]

    def _check(self, model: LoadedModel) -> None:
        """Raise ModelMismatchError for a model of another task or kind of image, UsageError for one without atoms."""
        card, usable = model.card, " and ".join(dict.fromkeys(self._general.values()))
        tasks = (self.task, PRIOR_TASK) if self.defaults.takes_denoisers else (self.task,)
        if card.task not in tasks:
            raise ModelMismatchError(f"{card.name} is a model to {card.task}, not to {self.task}; {usable} would fit")
        if card.channels not in self._general:
            wanted = " or ".join(CHANNELS[channels] for channels in self._general)
            raise ModelMismatchError(
                f"{card.name} is for {CHANNELS[card.channels]} images, and to {self.task} takes one for {wanted} "
                f"images; {usable} would fit"
            )
        if card.task != self.task:
            check_prior(card)
        if self._explained:
            sparse_coding_of(model)


def check_prior(card: ModelCard) -> None:
    """Raise ModelMismatchError for a denoiser that was made for a part of the noise levels alone."""
    low, high = card.conditioning_range
    if low > _FAINT_NOISE or high < _STRONG_NOISE:
        raise ModelMismatchError(
            f"{card.name} was made for noise of sigma {low:g} to {high:g} alone, and a prior has to remove noise from "
            f"{_FAINT_NOISE} to {_STRONG_NOISE}; name a denoiser for all of it"
        )


def sparse_coding_of(model: LoadedModel) -> SparseCoding:
    """Return the network of a model that codes patches. Raises UsageError for any other."""
    if not isinstance(model.network, SparseCoding):
        raise UsageError(
            f"{model.card.name} has no atoms that could explain its work; name a model that ends in -sc or -groupsc"
        )
    return model.network


@dataclass(frozen=True)
class ModelFile:
    """Where a model's file is; `commit` is the commit of the hub it belongs to, None if it is not from the hub."""

    path: Path
    commit: str | None = None


@dataclass(frozen=True)
class ShippedModel:
    """A model that is installed with the package."""

    card: ModelCard
    path: Path


def weights_folder() -> Path:
    """Return the folder of the shipped models: inside the installed package, or at the top of a source checkout."""
    installed = _PACKAGE / "weights"
    return installed if installed.is_dir() else _PACKAGE.parent / "weights"


def shipped_files() -> dict[str, Path]:
    """Return the files of the shipped models by name."""
    return {path.stem: path for path in sorted(weights_folder().glob(f"*{_SUFFIX}"))}


def shipped_models() -> tuple[ShippedModel, ...]:
    """Return all models installed with the package, by name. Raises WeightsError if one of their files is damaged."""
    return tuple(ShippedModel(read_card(path), path) for path in shipped_files().values())


def find(
    name_or_path: str | Path, *, revision: str | None = None, sha256: str | None = None, offline: bool = False
) -> Path:
    """Return the file of a model; `locate` says in addition which commit of the hub it belongs to."""
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


def _shipped_file(name: str) -> Path:
    known = shipped_files()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ModelNotFoundError(
        f"no model is called {name[:80]!r}; {hint}Known are {', '.join(known) or 'none'}, "
        f"the path of a {_SUFFIX} file, and {HUB_SYNTAX} on the Hugging Face hub"
    )


def _mode(path: Path) -> int:
    """Return the mode bits of what is at the path, 0 if there is nothing or the path is impossible."""
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
