"""Path in, path out: each picture of a plan is read, restored and written, whatever befalls the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from restorekit.errors import (
    MemoryExhaustedError,
    OutputError,
    RestorekitError,
    UnreadableImageError,
    UnsupportedImageError,
)
from restorekit.image import (
    Picture,
    check_encodable,
    check_output,
    encode_picture,
    file_format_of,
    output_suffix_for,
    read_picture,
    show_path,
    write_picture,
)
from restorekit.image.formats import FORMATS
from restorekit.restore.kinds import FileKind, PictureFiles
from restorekit.restore.plan import Existing, Job, Plan, path_key


@dataclass(frozen=True, kw_only=True)
class Account(ABC):
    """How an output was made, for the user; None where there is no such thing.

    model: its name. parameters: names and values of what was worked with, on the scale of users: ("sigma", 25.0),
    ("pattern", "rggb"). device, tiles: of the network. seconds: of the network alone. notes: remarks.
    """

    model: str | None = None
    parameters: tuple[tuple[str, float | str], ...] = ()
    device: str | None = None
    tiles: int | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def megapixels(self) -> float:
        """Of the output."""


@dataclass(frozen=True)
class Restored(Account):
    """What an operation made of one picture.

    jpeg: what to compress where the output is a JPEG, and the quality factor, so that an operation which compresses
    does so once; None writes `picture` at high quality.
    """

    picture: Picture
    jpeg: tuple[Picture, int] | None = None

    @property
    def megapixels(self) -> float:
        """Of the picture."""
        return float(self.picture.pixels.shape[0] * self.picture.pixels.shape[1]) / 1e6


Operation = Callable[[Picture], Restored]


@dataclass(frozen=True)
class Done:
    """A file that was written to `job.target`. `notes`: all remarks, of reading, restoring and writing."""

    job: Job
    restored: Account
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Skipped:
    """A picture whose output is there already and decodes."""

    job: Job


@dataclass(frozen=True)
class Failed:
    """A picture that could not be restored; its output is as it was before. `error` may be of any class."""

    job: Job
    error: Exception


Outcome = Done | Skipped | Failed


@dataclass(frozen=True)
class BatchSettings:
    """How files are read and written.

    `max_pixels`: None is Pillow's decompression-bomb limit. `kind`: which formats are read and written.
    """

    existing: Existing = Existing.KEEP
    strip_metadata: bool = False
    max_pixels: int | None = None
    kind: PictureFiles = field(default_factory=PictureFiles)


def run_batch(
    plan: Plan, operation: Operation, settings: BatchSettings, stdin: BinaryIO, stdout: BinaryIO
) -> Iterator[Outcome]:
    """Work through the plan's jobs; see `run_jobs`."""
    paths = [path for job in plan.jobs for path in (job.source, job.target)]
    taken = {path_key(path) for path in paths if path is not None}
    return run_jobs(plan, lambda job: _run_job(job, operation, settings, taken, stdin, stdout))


def run_jobs(plan: Plan, work: Callable[[Job], Outcome]) -> Iterator[Outcome]:
    """Do the work on each job; one outcome each, in their order. Refusals of the plan are not repeated.

    A job that fails does not stop the others. Only an interrupt, and BrokenPipeError from standard output, end it all.
    """
    for job in plan.jobs:
        try:
            yield work(job)
        except BrokenPipeError:
            raise
        except MemoryError:
            yield Failed(job, MemoryExhaustedError("memory ran out; free some and try again"))
        except Exception as error:  # a bug met on one picture must not cost the others
            yield Failed(job, error)


def scale_notes(picture: Picture) -> tuple[str, ...]:
    """A remark on float pixels so far outside [0, 1] that noise does not explain it: most likely another scale."""
    if picture.pixels.dtype.kind != "f":
        return ()
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low >= -1 and high <= 2:
        return ()
    return (f"values from {low:.4g} to {high:.4g} were taken as [0, 1], as floats are; what was outside is cut off",)


def is_finished(job: Job, kind: FileKind) -> bool:
    """Whether the output is there and is complete. Raises OutputError if it cannot be of our making."""
    if job.target is None or not job.target.exists():
        return False
    try:
        return kind.is_complete(job.target)
    except UnsupportedImageError as error:
        raise OutputError(f"{error}; it is in the way of an output, and only --overwrite replaces it") from error


def _run_job(
    job: Job,
    operation: Operation,
    settings: BatchSettings,
    taken: set[str],
    stdin: BinaryIO,
    stdout: BinaryIO,
) -> Outcome:
    skip, overwrite = settings.existing is Existing.SKIP, settings.existing is not Existing.KEEP
    if skip and is_finished(job, settings.kind):
        return Skipped(job)
    source = read_stream(stdin) if job.source is None else job.source
    picture = read_picture(source, max_pixels=settings.max_pixels, camera_raw=settings.kind.camera_raw)
    notes = picture.notes
    if job.target is None:
        file_format, note = _stream_format(picture, settings)
        restored = operation(picture)
        written, quality = _to_write(restored, file_format)
        data = encode_picture(written, file_format, strip_metadata=settings.strip_metadata, jpeg_quality=quality)
        write_stream(stdout, data)
        return Done(job, restored, (*notes, *note, *restored.notes))
    job, note = _settle_suffix(job, picture, settings, taken)
    if note and skip and is_finished(job, settings.kind):
        return Skipped(job)
    assert job.target is not None
    prepare_folder(job.target.parent)
    check_output(job.target, overwrite=overwrite)
    restored = operation(picture)
    written, quality = _to_write(restored, file_format_of(job.target))
    write_picture(
        job.target, written, overwrite=overwrite, strip_metadata=settings.strip_metadata, jpeg_quality=quality
    )
    return Done(job, restored, (*notes, *note, *restored.notes))


def _to_write(restored: Restored, file_format: str) -> tuple[Picture, int | None]:
    """The picture to encode and, for a JPEG of a certain quality, that."""
    if file_format == "jpeg" and restored.jpeg is not None:
        return restored.jpeg
    return restored.picture, None


def _settle_suffix(job: Job, picture: Picture, settings: BatchSettings, taken: set[str]) -> tuple[Job, tuple[str, ...]]:
    """The job with a suffix that can hold the picture, known before the work is done; a name that was given stays.

    taken: the keys of all inputs and outputs, one of which it must not be.
    """
    assert job.target is not None
    file_format, picture = file_format_of(job.target), settings.kind.to_hold(picture)
    try:
        check_encodable(picture, file_format, strip_metadata=settings.strip_metadata)
    except UnsupportedImageError as error:
        if job.named:
            raise UnsupportedImageError(f"{job.target_name}: {error}") from None
        target = job.target.with_suffix(output_suffix_for(picture, job.target))
        if path_key(target) in taken:
            raise OutputError(f"{show_path(target)}: is an input, or another's output; name one with -o") from None
        taken.add(path_key(target))
        return Job(job.source, target), (f"written as {show_path(target)}, for {error}",)
    return job, ()


def _stream_format(picture: Picture, settings: BatchSettings) -> tuple[str, tuple[str, ...]]:
    """The format planned for the input's own, or one that can hold the picture, with a remark."""
    file_format = picture.metadata.file_format
    file_format, picture = settings.kind.written_as.get(file_format, file_format), settings.kind.to_hold(picture)
    try:
        check_encodable(picture, file_format, strip_metadata=settings.strip_metadata)
    except UnsupportedImageError as error:
        suffix = output_suffix_for(picture, Path(f"stream{FORMATS[file_format].suffixes[0]}"))
        file_format = file_format_of(Path(f"stream{suffix}"))
        return file_format, (f"written as {file_format.upper()}, for {error}",)
    return file_format, ()


def prepare_folder(folder: Path) -> None:
    """Make the folder of an output. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be made a folder ({error.strerror})") from error


def read_stream(stdin: BinaryIO) -> bytes:
    """All of standard input. Raises UnreadableImageError where there is nothing."""
    data = stdin.read()
    if not data:
        raise UnreadableImageError("standard input is empty; pipe an image into it")
    return data


def write_stream(stdout: BinaryIO, data: bytes) -> None:
    """All to standard output, at once. Raises OutputError, or BrokenPipeError where nobody reads."""
    try:
        stdout.write(data)
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def describe_failure(failed: Failed) -> str:
    """One printable line that names the picture and what was wrong with it."""
    message = " ".join(str(failed.error).split())
    if not isinstance(failed.error, RestorekitError):
        message = f"unexpected {type(failed.error).__name__}: {message}; --verbose shows where"
    if message.startswith((failed.job.source_name, failed.job.target_name)):
        return message
    return f"{failed.job.source_name}: {message}"
