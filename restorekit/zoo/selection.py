"""Which model restores a picture, and where its file is: a path, a model of the package, or one on the hub."""

import difflib
import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from restorekit._version import __version__
from restorekit.errors import ModelMismatchError, ModelNotFoundError, RestorekitError, UsageError, WeightsError
from restorekit.image import show_path
from restorekit.models import SparseCoding
from restorekit.types import CHANNELS, DefaultModels, Quality
from restorekit.zoo.weights import LoadedModel, ModelCard, load_model, read_card

PRIOR_TASK = "denoise"
"""The task of models that can be the prior of other tasks."""
_FAINT_NOISE, _STRONG_NOISE = 1, 50
"""On the scale 0..255: solvers ask their prior to remove much noise at the beginning and little at the end."""
_SUFFIX = ".safetensors"
HUB_SYNTAX = "org/name[/FILE.safetensors][@revision][#sha256=...]"

_WORD = r"[A-Za-z0-9][\w.-]*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_WORD}/{_WORD})(?:/(?P<file>{_WORD}\.safetensors))?"
    r"(?:@(?P<revision>[^@#\s]+))?(?:#sha256=(?P<sha256>[^#]*))?",
    re.ASCII,
)
_SHA256 = re.compile("[0-9a-f]{64}")
_PACKAGE = Path(__file__).resolve().parents[1]


class ModelSelection:
    """The model that was named, or the default ones of a task.

    A task that takes denoisers has them as the prior of a solver; such a denoiser has to remove noise of all strengths.
    model: a loaded one, a name, the path of a weights file, or None for the default models. offline: never ask the hub.
    explained: choose models whose steps `--explain` can show. In its methods, conditioning is how strong the
    degradation is, in the units of the cards; None if the model has to serve all.

    Raises ModelNotFoundError, WeightsError or ModelMismatchError if the model named is not there, is damaged, or is for
    another task; UsageError if it has no atoms to explain.
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
        """
        if self.named is not None:
            return (self.named.card,)
        names = dict.fromkeys(self._default_name(channels, conditioning) for channels in self._general)
        shipped = shipped_files()
        return tuple(read_card(shipped[name]) for name in names if name in shipped)

    def preload(self, conditioning: float | None = None) -> None:
        """Load the models that may be used, so that no measurement of time includes it."""
        if self.named is None:
            for card in self.cards(conditioning):
                self._load(card.name)

    def fitting(self, channels: int, conditioning: float | None = None) -> LoadedModel:
        """Return the model for pictures of 1 or 3 channels, loaded when it is first needed.

        Raises ModelMismatchError if the model named is for others, ModelNotFoundError if the default one is not
        installed, WeightsError if that is damaged.
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
            others = f"{card.name} is a model for {CHANNELS[card.channels]} ones"
            raise ModelMismatchError(
                f"a {CHANNELS[channels]} picture, but {others}; {self._general[channels]} would fit"
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
        specialists = self._specialists.get(channels, {}).items()
        fitting = (name for name, card in specialists if conditioning is not None and card.covers(conditioning))
        return next(fitting, self._general[channels])

    def _load(self, name: str) -> LoadedModel:
        if name not in self._loaded:
            try:
                path = find(name, offline=self._offline)
            except ModelNotFoundError as error:
                what = f"{name}, the default model to {self.task}, is not installed"
                raise ModelNotFoundError(f"{what}; name another with --model") from error
            self._loaded[name] = load_model(path)
        return self._loaded[name]

    def _check(self, model: LoadedModel) -> None:
        """Raise ModelMismatchError for a model of another task or kind of image, UsageError for one without atoms."""
        card, usable = model.card, " and ".join(dict.fromkeys(self._general.values()))
        if not usable:
            raise ModelMismatchError(f"{self.task} takes no model; leave out --model")
        tasks = (self.task, PRIOR_TASK) if self.defaults.takes_denoisers else (self.task,)
        if card.task not in tasks:
            raise ModelMismatchError(f"{card.name} is a model to {card.task}, not to {self.task}; {usable} would fit")
        if card.channels not in self._general:
            wanted = " or ".join(CHANNELS[channels] for channels in self._general)
            made = f"{card.name} is for {CHANNELS[card.channels]} images"
            raise ModelMismatchError(f"{made}, and to {self.task} takes one for {wanted} images; {usable} would fit")
        if card.task != self.task:
            check_prior(card)
        if self._explained:
            sparse_coding_of(model)


def check_prior(card: ModelCard) -> None:
    """Raise ModelMismatchError for a denoiser that was made for a part of the noise levels alone."""
    low, high = card.conditioning_range
    if low > _FAINT_NOISE or high < _STRONG_NOISE:
        made = f"{card.name} was made for noise of sigma {low:g} to {high:g} alone"
        needed = f"a prior has to remove noise from {_FAINT_NOISE} to {_STRONG_NOISE}"
        raise ModelMismatchError(f"{made}, and {needed}; name a denoiser for all of it")


def sparse_coding_of(model: LoadedModel) -> SparseCoding:
    """Return the network of a model that codes patches. Raises UsageError for any other."""
    if not isinstance(model.network, SparseCoding):
        remedy = "name a model that ends in -sc or -groupsc"
        raise UsageError(f"{model.card.name} has no atoms that could explain its work; {remedy}")
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

    A model is named by the path of its file, by a shipped model's name, or as HUB_SYNTAX says, where the file is
    `model.safetensors` unless named. A file that exists comes before a repository of the same name. revision: a branch,
    tag or commit on the hub, as after `@`. sha256: what the file must hash to, as after `#sha256=`. offline: never use
    the network; what is in the hub's cache is still found.

    Raises ModelNotFoundError if there is no such model; WeightsError if the file does not have the sha256, or cannot be
    fetched; UsageError for a revision of a file that is not on the hub, a sha256 that is none, or two that differ.
    """
    expected = None if sha256 is None else normalise_sha256(sha256)
    text = str(name_or_path)
    is_name = isinstance(name_or_path, str) and not ("/" in text or os.sep in text or text.endswith(_SUFFIX))
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
    if expected is not None and (hashed := _sha256_of(found.path)) != expected:
        raise WeightsError(f"{show_path(found.path)}: has sha256 {hashed}, not the {expected} asked for")
    return found


def _shipped_file(name: str) -> Path:
    if name in (known := shipped_files()):
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? Known are" if close else "known are"
    raise ModelNotFoundError(
        f"no model is called {name[:80]!r}; {hint} {', '.join(known) or 'none'}, "
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


@dataclass(frozen=True)
class HubReference:
    """One file of one repository. revision: a branch, tag or commit; None means main. sha256: of the file."""

    repository: str
    file: str = "model.safetensors"
    revision: str | None = None
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a text of the form HUB_SYNTAX; return None for any other. Raise UsageError for a malformed sha256."""
        match = _REFERENCE.fullmatch(text)
        if not match or match["repository"].endswith(".safetensors"):
            return None
        sha256 = None if match["sha256"] is None else normalise_sha256(match["sha256"])
        return cls(match["repository"], match["file"] or cls.file, match["revision"], sha256)

    def __str__(self) -> str:
        return f"{self.repository}/{self.file}" + (f"@{self.revision}" if self.revision else "")


def fetch(reference: HubReference, *, offline: bool = False) -> tuple[Path, str]:
    """Return the file in the hub's cache, fetched if it is not there yet, and the commit of its revision.

    The hub states a sha256 for files in its large-file storage, where all safetensors are; the file is compared with
    it. With `offline`, or HF_HUB_OFFLINE=1 in the environment, the network is not used. Raise ModelNotFoundError for an
    unknown repository, revision or file, or if offline for one that is not in the cache; WeightsError if the file does
    not arrive whole or is not what the hub says it is.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    repository, file, revision = reference.repository, reference.file, reference.revision
    try:
        if offline or constants.HF_HUB_OFFLINE:
            # hf_hub_download(local_files_only=True) would not do: it may ask the hub for things other than the file.
            found = try_to_load_from_cache(repository, file, revision=revision)
        else:
            with _silent_client():
                found = hf_hub_download(
                    repository, file, revision=revision, library_name="restorekit", library_version=__version__
                )
    except Exception as error:  # the client lets through what its HTTP library raises, which varies by version
        raise _explained(error, reference) from error
    if not isinstance(found, str):  # None, or the mark of a file that the hub is known not to have
        raise ModelNotFoundError(f"{reference} is not in the cache, and the hub may not be asked while offline")
    path = Path(found)
    # The cache links to a blob that is named by the sha256 that the hub stated. Without links there is no such record.
    if path.is_symlink() and _SHA256.fullmatch(stated := path.readlink().name) and _sha256_of(path) != stated:
        remedy = f"delete {show_path(path.resolve())} and fetch it again"
        raise WeightsError(f"{reference} in the cache does not have the sha256 that the hub states; {remedy}")
    return path, path.parent.name


def normalise_sha256(text: str) -> str:
    """Return the hash in lower case; raise UsageError if it is not 64 hexadecimal digits."""
    if not _SHA256.fullmatch(text.lower()):
        raise UsageError(f"{text[:80]!r} is not a sha256; expected 64 hexadecimal digits")
    return text.lower()


def _explained(error: Exception, reference: HubReference) -> RestorekitError:
    """Return the client's error in our words."""
    from huggingface_hub import errors

    repository, cause = reference.repository, error
    while isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
    why = " ".join(str(cause).split())[:200] or type(cause).__name__
    reasons = {  # subclasses come before their bases
        errors.HFValidationError: f"{reference} is not a name that the hub allows; expected {HUB_SYNTAX}",
        errors.LocalEntryNotFoundError: f"{reference} is not in the cache, and the hub gave no usable answer ({why})",
        errors.GatedRepoError: f"{reference} is gated; ask for access on its page and put your token in HF_TOKEN",
        errors.RepositoryNotFoundError: f"{reference} is neither a file here nor in a public repository on the hub; "
        f"check the name {HUB_SYNTAX}",
        errors.RevisionNotFoundError: f"{repository} has no revision {reference.revision!r} on the hub",
        errors.EntryNotFoundError: f"{repository} on the hub has no file {reference.file}; name one: {HUB_SYNTAX}",
    }
    if reason := next((reason for kind, reason in reasons.items() if isinstance(error, kind)), None):
        return ModelNotFoundError(reason)
    return WeightsError(f"{reference} could not be fetched from the hub ({why}); try again")


@contextmanager
def _silent_client() -> Iterator[None]:
    """Keep the hub's client from writing to standard error, which it does at each retry and for its progress bars."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    with ExitStack() as undo:
        undo.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        # The client warns of attempts to change the bars if the environment decides about them.
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled():
            undo.callback(enable_progress_bars)
            disable_progress_bars()
        yield


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{show_path(path)}: cannot be read ({error.strerror or error})") from error
