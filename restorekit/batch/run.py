"""A batch: the plan of its inputs and outputs, settled before any work, and the loop that works through it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from restorekit import errors
from restorekit.batch.files import Account, FileKind
from restorekit.image import check_output, show_path, write_file
from restorekit.image.formats import FALLBACK_SUFFIXES

STREAM = "-"
"""The name of standard input among the inputs, and of standard output as the output."""

Operation = Callable[[Any], Account]
"""Makes an output of a picture, or of slices of k-space [S, H, W]."""


class Existing(Enum):
    """What becomes of an output that is there already."""

    KEEP = "keep"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True)
class Job:
    """One picture to restore. `source` None: from standard input; `target` None: to standard output.

    `named`: the user gave the output's name, so its suffix is not changed for a picture that its format cannot hold.
    """

    source: Path | None
    target: Path | None
    named: bool = False

    @property
    def source_name(self) -> str:
        """The input in one printable line."""
        return "standard input" if self.source is None else show_path(self.source)

    @property
    def target_name(self) -> str:
        """The output in one printable line."""
        return "standard output" if self.target is None else show_path(self.target)


@dataclass(frozen=True)
class Refusal:
    """An input, or a folder in one, that cannot be worked on; the others can."""

    source: Path
    error: errors.RestorekitError


@dataclass(frozen=True)
class BatchPlan:
    """The jobs in their order, the inputs that fail already now, and remarks for the user."""

    jobs: tuple[Job, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


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
class Planned:
    """An input that would be restored, were this no dry run."""

    job: Job


@dataclass(frozen=True)
class Failed:
    """An input that could not be restored; its output is as it was before. `error` may be of any class."""

    job: Job
    error: Exception

    def describe(self) -> str:
        """Return one printable line that names the input and says what was wrong with it."""
        message = " ".join(str(self.error).split())
        if not isinstance(self.error, errors.RestorekitError):
            message = f"unexpected {type(self.error).__name__}: {message}; --verbose shows where"
        if message.startswith((self.job.source_name, self.job.target_name)):
            return message
        return f"{self.job.source_name}: {message}"


Outcome = Done | Skipped | Planned | Failed


def plan_batch(
    inputs: Sequence[str], output: str | None, *, operation: str, existing: Existing, kind: FileKind
) -> BatchPlan:
    """Pair every input with its output.

    Inputs are files, folders (searched with their subfolders for the suffixes of that kind) or one `-`; one that does
    not exist is a refusal. The output is a file for one input file; a folder for several, for a folder, and where it is
    one or ends in a slash; `-` is standard output. None puts `NAME_operation.SUFFIX` beside a file `NAME.SUFFIX` and a
    tree `FOLDER_operation` beside a folder `FOLDER`, as in `noisy`. In an output folder names stay as they are, but for
    suffixes. Raises UsageError: inputs and output do not fit together, two inputs have one output, or an output is an
    input.
    """
    if "" in inputs or output == "":
        raise errors.UsageError("an empty name among the inputs or for the output; is a variable of the shell not set?")
    if STREAM in inputs or output == STREAM:
        return _stream_plan(inputs, output, existing, kind)
    search = _Search(operation, output, kind, to_file=_is_output_file(inputs, output, kind))
    for name in inputs:
        search.add(Path(name))
    if existing is Existing.SKIP:
        search.leave_out_outputs()
    _check_outputs(search.jobs, existing)
    jobs = []
    for job in search.jobs:
        assert job.source is not None
        assert job.target is not None
        try:
            if job.named or _is_folder(job.target.parent):  # others are made later, when they are needed
                check_output(job.target, overwrite=existing is not Existing.KEEP)
        except errors.OutputError as error:
            search.refusals.append(Refusal(job.source, error))
        else:
            jobs.append(job)
    return BatchPlan(tuple(jobs), tuple(search.refusals), tuple(search.notes))


def check_exists(path: Path) -> None:
    """Raise UnreadableImageError if there is no such file. Other faults are found when it is read."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise errors.UnreadableImageError(f"{show_path(path)}: no such file") from None
    except (OSError, ValueError):
        pass


def _stream_plan(inputs: Sequence[str], output: str | None, existing: Existing, kind: FileKind) -> BatchPlan:
    if len(inputs) != 1:
        raise errors.UsageError("standard input or output (-) carries one image; name no other input with it")
    source = None if inputs[0] == STREAM else Path(inputs[0])
    if source is not None and _is_folder(source):
        raise errors.UsageError(f"{show_path(source)} is a folder; standard output carries one image")
    if output is None or output == STREAM:
        try:
            if source is not None:
                check_exists(source)
        except errors.UnreadableImageError as error:
            return BatchPlan((), (Refusal(Path(inputs[0]), error),))
        return BatchPlan((Job(source, None),))
    if not _is_output_file(inputs, output, kind):
        raise errors.UsageError(f"{output}: an image from standard input needs an output file, not a folder")
    target = _named_output(output, kind)
    check_output(target, overwrite=existing is not Existing.KEEP)
    return BatchPlan((Job(None, target, named=True),))


def _is_output_file(inputs: Sequence[str], output: str | None, kind: FileKind) -> bool:
    """Whether `output` names a file; raises UsageError if it should be a folder and cannot be one."""
    if output is None or output.endswith(("/", os.sep)) or _is_folder(output):
        return False
    if len(inputs) == 1 and not _is_folder(inputs[0]):
        return True
    is_file = os.path.lexists(output)
    with suppress(errors.RestorekitError):
        kind.check_output(Path(output))
        is_file = True  # by its name
    if is_file:
        what = "a folder" if len(inputs) == 1 else f"{len(inputs)} inputs"
        shown = show_path(Path(output))
        raise errors.UsageError(f"{shown} would be one file for {what}; name an output folder, as in -o clean/")
    return False


def _is_folder(path: str | Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir may raise for a name that is too long


def _named_output(output: str, kind: FileKind) -> Path:
    path = Path(output)
    shown = show_path(path)
    if not path.suffix:
        raise errors.UsageError(f"{shown}: name a file such as {path.name}.png, or a folder with a slash at its end")
    try:
        kind.check_output(path)
    except errors.UnsupportedImageError as error:
        raise errors.UsageError(f"{shown}: {error}") from None
    return path


class _Search:
    """Collects the jobs of one command line."""

    def __init__(self, operation: str, output: str | None, kind: FileKind, *, to_file: bool) -> None:
        self.operation, self.kind = operation, kind
        self.file = _named_output(output, kind) if output is not None and to_file else None
        self.folder = Path(output) if output is not None and not to_file else None
        self.jobs: list[Job] = []
        self.refusals: list[Refusal] = []
        self.notes: list[str] = []

    def add(self, source: Path) -> None:
        try:
            check_exists(source)
        except errors.UnreadableImageError as error:
            self.refusals.append(Refusal(source, error))
            return
        if _is_folder(source):
            self._add_folder(source)
        elif self.file is not None:
            self.jobs.append(Job(source, self.file, named=True))
        elif self.folder is not None:
            self.jobs.append(Job(source, self.folder / self.kind.output_name(source)))
        else:
            name = self.kind.output_name(source)
            self.jobs.append(Job(source, source.with_name(f"{name.stem}_{self.operation}{name.suffix}")))

    def leave_out_outputs(self) -> None:
        """Leave out inputs that are outputs of others: a pattern such as `*.png` names both when a batch is resumed."""
        targets = {path_key(job.target): job for job in self.jobs if path_key(job.target) != path_key(job.source)}
        for job in self.jobs:
            for path in _fallbacks(job):
                targets.setdefault(path_key(path), job)
        outputs = dict.fromkeys(job for job in self.jobs if path_key(job.source) in targets)
        self.jobs = [job for job in self.jobs if job not in outputs]
        for job in outputs:
            origin = targets[path_key(job.source)]
            self.notes.append(f"{job.source_name}: the output of {origin.source_name}, left out")

    def _add_folder(self, folder: Path) -> None:
        # `.` and `..` have no name of their own to put the operation after.
        known = folder if folder.name not in ("", "..") else folder.resolve()
        target = self.folder or known.with_name(f"{known.name}_{self.operation}")
        pictures = list(self._pictures_in(folder, target))
        if not pictures:
            self._refuse(folder, f"no pictures in it ({', '.join(sorted(self.kind.suffixes))})")
        for picture in pictures:
            relative = picture.relative_to(folder)
            self.jobs.append(Job(picture, target / relative.parent / self.kind.output_name(relative)))

    def _pictures_in(self, folder: Path, target: Path) -> Iterable[Path]:
        """Yield regular files with a picture's suffix, by name; leave out hidden ones, which may be half written."""
        target_id = _identity(target)
        for parent, folders, files in os.walk(folder, onerror=self._refuse_folder):
            kept = []
            for name in sorted(folders):
                path = Path(parent, name)
                if name.startswith(".") or (target_id is not None and _identity(path) == target_id):
                    continue
                if path.is_symlink():  # it may lead back up, or to what is walked already
                    self.notes.append(f"{show_path(path)}: a link to a folder, not followed")
                else:
                    kept.append(name)
            folders[:] = kept
            for name in sorted(files):
                path = Path(parent, name)
                if name.startswith(".") or path.suffix.lower() not in self.kind.suffixes:
                    continue
                if path.is_file():
                    yield path
                else:
                    self.notes.append(f"{show_path(path)}: not a regular file, left out")

    def _refuse_folder(self, error: OSError) -> None:
        self._refuse(Path(os.fsdecode(error.filename)), f"cannot be read ({error.strerror})")

    def _refuse(self, path: Path, why: str) -> None:
        self.refusals.append(Refusal(path, errors.ImageError(f"{show_path(path)}: {why}")))


def _fallbacks(job: Job) -> tuple[Path, ...]:
    """Return the other names that an output beside its input has if the format of `target` cannot hold the picture."""
    if job.source is None or job.target is None or job.source.stem == job.target.stem or job.target.exists():
        return ()
    return tuple(job.target.with_suffix(suffix) for suffix in FALLBACK_SUFFIXES)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _check_outputs(jobs: Sequence[Job], existing: Existing) -> None:
    """Raise UsageError if two jobs share an output, or an output is an input; with REPLACE it may be its own input."""
    sources = {path_key(job.source) for job in jobs}
    writers: dict[str, Job] = {}
    for job in jobs:
        target, shown = path_key(job.target), job.target_name
        other = writers.setdefault(target, job)
        if other is not job:
            raise errors.UsageError(
                f"{other.source_name} and {job.source_name} would both be written to {shown}; "
                "restore them one at a time or into folders of their own"
            )
        if target not in sources:
            continue
        if target != path_key(job.source):
            what = f"{shown} is an input and would be the output of {job.source_name}"
            raise errors.UsageError(f"{what}; name an output folder")
        if existing is not Existing.REPLACE:
            raise errors.UsageError(f"{shown} is input and output in one; pass --overwrite to replace the input")


def path_key(path: Path | None) -> str:
    """Return the same text for all names of one file."""
    assert path is not None
    return os.path.normcase(os.path.realpath(path))


def run_batch(
    plan: BatchPlan, operation: Operation | None, existing: Existing, kind: FileKind, stdin: BinaryIO, stdout: BinaryIO
) -> Iterator[Outcome]:
    """Work through the jobs of a plan; yield one outcome each, in their order. Refusals of the plan are not repeated.

    Without an operation no input is read, and nothing is written. A job that fails does not stop the others. Only an
    interrupt, and BrokenPipeError from standard output, end it all.
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
            yield Failed(job, errors.MemoryExhaustedError("memory ran out; free some and try again"))
        except Exception as error:  # a bug met on one picture must not cost the others
            yield Failed(job, error)


def _is_finished(job: Job, existing: Existing, kind: FileKind) -> bool:
    """Whether to skip a complete output that is there. Raises OutputError if it cannot be of our making."""
    if existing is not Existing.SKIP or job.target is None or not job.target.exists():
        return False
    try:
        return kind.is_complete(job.target)
    except errors.UnsupportedImageError as error:
        raise errors.OutputError(f"{error}; it is in the way of an output, and only --overwrite replaces it") from error


def _run_job(
    job: Job,
    operation: Operation | None,
    existing: Existing,
    kind: FileKind,
    taken: Callable[[Path], bool],
    stdin: BinaryIO,
    stdout: BinaryIO,
) -> Outcome:
    if _is_finished(job, existing, kind):
        return Skipped(job)
    if operation is None:
        return Planned(job)
    overwrite = existing is not Existing.KEEP
    source = job.source or stdin.read()
    if not source:
        raise errors.UnreadableImageError("standard input is empty; pipe an image into it")
    opened = kind.open(source, job.target, named=job.named, taken=taken)
    job = Job(job.source, opened.target, job.named)
    if opened.renamed and _is_finished(job, existing, kind):
        return Skipped(job)
    if job.target is not None:
        folder = job.target.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.OutputError(f"{show_path(folder)}: cannot be made a folder ({error.strerror})") from error
        check_output(job.target, overwrite=overwrite)
    made = operation(opened.item)
    try:
        data, notes = kind.encode(made, opened.file_format)
    except errors.ImageError as error:
        if job.target is None:
            raise
        raise type(error)(f"{show_path(job.target)}: {error}") from error
    if job.target is None:
        _write_stream(stdout, data)
    else:
        write_file(job.target, data, overwrite=overwrite)
    return Done(job, made, (*opened.notes, *made.notes, *notes))


def _write_stream(stdout: BinaryIO, data: bytes) -> None:
    try:
        stdout.write(data)
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise errors.OutputError(f"standard output: cannot be written ({error.strerror})") from error
