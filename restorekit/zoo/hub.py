"""Weights files on the Hugging Face hub: pinned by revision, checked by sha256, cached in HF_HOME."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from restorekit._version import __version__
from restorekit.errors import ModelNotFoundError, RestorekitError, UsageError, WeightsError
from restorekit.image import show_path

HUB_SYNTAX = "org/name[/FILE.safetensors][@revision][#sha256=...]"

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
    file: str = "model.safetensors"
    revision: str | None = None
    sha256: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubReference | None:
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
    it. With `offline`, or HF_HUB_OFFLINE=1 in the environment, the network is not used.

    Raise ModelNotFoundError for an unknown repository, revision or file, or if offline for one that is not in the
    cache; raise WeightsError if the file does not arrive whole or is not what the hub says it is.
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
        raise WeightsError(
            f"{reference} in the cache does not have the sha256 that the hub states; "
            f"delete {show_path(path.resolve())} and fetch it again"
        )
    return path, path.parent.name


def check_sha256(path: Path, expected: str) -> None:
    """Raise WeightsError unless the file has that sha256."""
    if (found := _sha256_of(path)) != expected:
        raise WeightsError(f"{show_path(path)}: has sha256 {found}, not the {expected} asked for")


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
    for kind, reason in reasons.items():
        if isinstance(error, kind):
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
