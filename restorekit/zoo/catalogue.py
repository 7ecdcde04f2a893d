"""Which model a name means, and where its file is: a path, a model shipped with the package, or one on the hub."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from restorekit.errors import ModelNotFoundError, UsageError
from restorekit.image import show_path
from restorekit.zoo.card import ModelCard
from restorekit.zoo.hub import HUB_SYNTAX, HubReference, check_sha256, fetch, normalise_sha256
from restorekit.zoo.weights import read_card

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
_STAND_INS = {
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
    better = {task: None for (task, _), names in _STAND_INS.items() if path.stem in names}
    return tuple(named | better)


def stand_ins(task: str) -> dict[int, dict[str, ModelCard]]:
    """The cards of the installed models that are better at a part of a task's levels, by number of channels and name.

    Where no model is asked for, the first whose card covers the level is used, and the default one where none does.

    Raises:
        WeightsError: one of their files is damaged.
    """
    shipped = _shipped_files()
    return {
        channels: {name: read_card(shipped[name]) for name in names if name in shipped}
        for (known, channels), names in _STAND_INS.items()
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
