"""The batch loop: each input of a plan is read, restored and written, whatever befalls the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from restorekit.batch.files import Account, FileKind, named_error
from restorekit.batch.plan import BatchPlan, Existing, Job, path_key
from restorekit.errors import (
    ImageError,
    MemoryExhaustedError,
    OutputError,
    RestorekitError,
    UnreadableImageError,
    UnsupportedImageError,
)
from restorekit.image import check_output, show_path, write_file

Operation = Callable[[Any], Account]
"""Makes an output of a picture, or of slices of k-space [S, H, W]."""


@dataclass(frozen=True)
class Done:
    """A file that was written to `job.target`. `notes`: all remarks, of reading, restoring and writing."""

    job: Job
    made: Account
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Skipped:
    """An input whose output is there already and is complete."""

    job: Job


@dataclass(frozen=True)
class Failed:
    """An input that could not be restored; its output is as it was before. `error` may be of any class."""

    job: Job
    error: Exception

    def describe(self) -> str:
        """Return one printable line that names the input and says what was wrong with it."""
        message = " ".join(str(self.error).split())
        if not isinstance(self.error, RestorekitError):
            message = f"unexpected {type(self.error).__name__}: {message}; --verbose shows where"
        if message.startswith((self.job.source_name, self.job.target_name)):
            return message
        return f"{self.job.source_name}: {message}"


Outcome = Done | Skipped | Failed


def run_batch(
    plan: BatchPlan, operation: Operation, existing: Existing, kind: FileKind, stdin: BinaryIO, stdout: BinaryIO
) -> Iterator[Outcome]:
    """Work through the jobs of a plan; yield one outcome each, in their order. Refusals of the plan are not repeated.

    A job that fails does not stop the others. Only an interrupt, and BrokenPipeError from standard output, end it all.
    """
    keys = {path_key(path) for job in plan.jobs for path in (job.source, job.target) if path is not None}

    def taken(path: Path) -> bool:
        key = path_key(path)
        known = key in keys
        keys.add(key)
        return known

    for job in plan.jobs:
        try:
            yield _run_job(job, operation, existing, kind, taken, stdin, stdout)
        except BrokenPipeError:
            raise
        except MemoryError:
            yield Failed(job, MemoryExhaustedError("memory ran out; free some and try again"))
        except Exception as error:  # a bug met on one picture must not cost the others
            yield Failed(job, error)


def is_finished(job: Job, kind: FileKind) -> bool:
    """Return whether the output is there and is complete. Raises OutputError if it cannot be of our making."""
    if job.target is None or not job.target.exists():
        return False
    try:
        return kind.is_complete(job.target)
    except UnsupportedImageError as error:
        raise OutputError(f"{error}; it is in the way of an output, and only --overwrite replaces it") from error


def _run_job(
    job: Job,
    operation: Operation,
    existing: Existing,
    kind: FileKind,
    taken: Callable[[Path], bool],
    stdin: BinaryIO,
    stdout: BinaryIO,
) -> Outcome:
    skip, overwrite = existing is Existing.SKIP, existing is not Existing.KEEP
    if skip and is_finished(job, kind):
        return Skipped(job)
    source = _read_stream(stdin) if job.source is None else job.source
    opened = kind.open(source, job.target, named=job.named, taken=taken)
    job = Job(job.source, opened.target, job.named)
    if opened.renamed and skip and is_finished(job, kind):
        return Skipped(job)
    if job.target is not None:
        _prepare_folder(job.target.parent)
        check_output(job.target, overwrite=overwrite)
    made = operation(opened.item)
    try:
        data, notes = kind.encode(made, opened.file_format)
    except ImageError as error:
        raise named_error(error, job.target) from error
    if job.target is None:
        _write_stream(stdout, data)
    else:
        write_file(job.target, data, overwrite=overwrite)
    return Done(job, made, (*opened.notes, *made.notes, *notes))


def _prepare_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be made a folder ({error.strerror})") from error


def _read_stream(stdin: BinaryIO) -> bytes:
    data = stdin.read()
    if not data:
        raise UnreadableImageError("standard input is empty; pipe an image into it")
    return data


def _write_stream(stdout: BinaryIO, data: bytes) -> None:
    try:
        stdout.write(data)
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error
