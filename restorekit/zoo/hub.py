"""Weights files on the Hugging Face hub: pinned by revision, checked by sha256, cached in HF_HOME."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restorekit._version import __version__
from restorekit.errors import ModelNotFoundError, UsageError, WeightsError
from restorekit.image import show_path

HUB_SYNTAX = "org/name[/FILE.safetensors][@revision][#sha256=...]"

_DEFAULT_FILE = "model.safetensors"
_WORD = r"[A-Za-z0-9][\w.-]*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_WORD}/{_WORD})(?:/(?P<file>{_WORD}\.safetensors))?"
    r"(?:@(?P<revision>[^@#\s]+))?(?:#sha256=(?P<sha256>[^#]*))?",
    re.ASCII,
)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class HubReference:
    """One file of one repository. revision: a branch, tag or commit; None means main. sha256: of the file."""

    repository: str
    file: str = _DEFAULT_FILE
    revision: str | None = None
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubReference | None:
        """Read `org/name[/FILE.safetensors][@revision][#sha256=...]`; None if the text is of another form.

        Raises:
            UsageError: the sha256 is not one.
        """
        match = _REFERENCE.fullmatch(text)
        if not match or match["repository"].endswith(".safetensors"):
            return None
        sha256 = None if match["sha256"] is None else normalise_sha256(match["sha256"])
        return cls(match["repository"], match["file"] or _DEFAULT_FILE, match["revision"], sha256)

    def __str__(self) -> str:
        return f"{self.repository}/{self.file}" + (f"@{self.revision}" if self.revision else "")


def fetch(reference: HubReference, *, offline: bool = False) -> tuple[Path, str]:
    """The file in the hub's cache, fetched if it is not there yet, and the commit that the revision stands for.

    A file that the hub keeps in its large-file storage, as it does with all safetensors, is compared with the sha256
    that the hub states for it. With `offline`, or HF_HUB_OFFLINE=1 in the environment, only the cache is asked.

    Raises:
        ModelNotFoundError: no such repository, revision or file; or offline and not in the cache.
        WeightsError: the file does not arrive whole, or is not what the hub says it is.
    """
    from huggingface_hub import constants

    path = _cached(reference) if offline or constants.HF_HUB_OFFLINE else _downloaded(reference)
    _check_large_file(path, reference)
    return path, path.parent.name


def check_sha256(path: Path, expected: str) -> None:
    """Raise WeightsError unless the file has that sha256."""
    found = _sha256_of(path)
    if found != expected:
        raise WeightsError(f"{show_path(path)}: has sha256 {found}, not the {expected} asked for")


def normalise_sha256(text: str) -> str:
    """The hash in lower case; UsageError if it is not 64 hexadecimal digits."""
    if not _SHA256.fullmatch(text.lower()):
        raise UsageError(f"{text[:80]!r} is not a sha256; expected 64 hexadecimal digits")
    return text.lower()


def _cached(reference: HubReference) -> Path:
    # hf_hub_download(local_files_only=True) would not do: it may ask the hub for things other than the file.
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(reference.repository, reference.file, revision=reference.revision)
    except HFValidationError as error:
        raise ModelNotFoundError(_not_allowed(reference)) from error
    if not isinstance(path, str):  # None, or the mark of a file that the hub has been found not to have
        raise ModelNotFoundError(
            f"{reference} is not in the cache, and the hub may not be asked while offline; fetch it once with a network"
        )
    return Path(path)


def _downloaded(reference: HubReference) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with _silent_client():
            path = hf_hub_download(
                reference.repository,
                reference.file,
                revision=reference.revision,
                library_name="restorekit",
                library_version=__version__,
            )
    except LocalEntryNotFoundError as error:
        raise ModelNotFoundError(
            f"{reference} is not in the cache, and the hub gave no usable answer ({_root_cause(error)})"
        ) from error
    except GatedRepoError as error:
        raise ModelNotFoundError(
            f"{reference} is gated; ask for access on its page and put your token in HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"{reference} is neither a file here nor in a public repository on the hub; check the name {HUB_SYNTAX}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFoundError(f"{reference.repository} has no revision {reference.revision!r} on the hub") from error
    except EntryNotFoundError as error:
        raise ModelNotFoundError(
            f"{reference.repository} on the hub has no file {reference.file}; name one: {HUB_SYNTAX}"
        ) from error
    except HFValidationError as error:
        raise ModelNotFoundError(_not_allowed(reference)) from error
    except Exception as error:  # the client lets through what its HTTP library raises, which varies by version
        raise WeightsError(f"{reference} could not be fetched from the hub ({_one_line(error)}); try again") from error
    return Path(path)


@contextmanager
def _silent_client() -> Iterator[None]:
    """Keep the hub's client from writing to standard error, which it does at each retry and for its progress bars."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    # Where the environment decides about the bars, the client warns of attempts to change that.
    has_bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if has_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if has_bars:
            enable_progress_bars()


def _not_allowed(reference: HubReference) -> str:
    return f"{reference} is not a name that the hub allows; expected {HUB_SYNTAX}"


def _check_large_file(path: Path, reference: HubReference) -> None:
    """Compare with the cache's own record: its link leads to a blob named by the sha256 that the hub stated."""
    if not path.is_symlink():  # without symbolic links the cache keeps no record
        return
    stated = path.readlink().name
    if _SHA256.fullmatch(stated) and _sha256_of(path) != stated:
        blob = path.parent / path.readlink()
        raise WeightsError(
            f"{reference} in the cache does not have the sha256 that the hub states; "
            f"delete {show_path(blob.resolve())} and fetch it again"
        )


def _sha256_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{show_path(path)}: cannot be read ({error.strerror or error})") from error


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
