"""A plan of a batch: its inputs and their outputs, and whatever stands in the way, settled before any work."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from restorekit.batch.files import FileKind
from restorekit.errors import (
    ImageError,
    OutputError,
    RestorekitError,
    UnreadableImageError,
    UnsupportedImageError,
    UsageError,
)
from restorekit.image import check_output, show_path
from restorekit.image.formats import FALLBACK_SUFFIXES

STREAM = "-"
"""The name of standard input among the inputs, and of standard output as the output."""


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
    error: RestorekitError


@dataclass(frozen=True)
class BatchPlan:
    """The jobs in their order, the inputs that fail already now, and remarks for the user."""

    jobs: tuple[Job, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


def plan_batch(
    inputs: Sequence[str],
    output: str | None,
    *,
    operation: str,
    existing: Existing,
    kind: FileKind,
) -> BatchPlan:
    """Pair every input with its output.

    Args:
        inputs: files, folders (searched with their subfolders for the suffixes of that kind) or one `-`.
        output: the output file for one input file; the output folder for several, for a folder, and where it is one or
            ends in a slash. `-` is standard output. None puts `NAME_operation.SUFFIX` beside a file `NAME.SUFFIX` and
            a tree `FOLDER_operation` beside a folder `FOLDER`. In an output folder names stay as they are, but for
            suffixes.
        operation: `denoised`, `noisy`, ...
        existing: what to do about outputs that are there. An input that does not exist is a refusal.
        kind: of the files.

    Raises:
        UsageError: inputs and output do not fit together, two inputs have one output, or an output is an input.

    """
    if "" in inputs or output == "":
        raise UsageError("an empty name among the inputs or for the output; is a variable of the shell not set?")
    if STREAM in inputs or output == STREAM:
        return _stream_plan(_stream_job(inputs, output, kind), existing)
    search = _Search(operation, output, kind, to_file=_is_output_file(inputs, output, kind))
    for name in inputs:
        search.add(Path(name))
    if existing is Existing.SKIP:
        search.leave_out_outputs()
    _check_outputs(search.jobs, existing)
    jobs = []
    for job in search.jobs:
        try:
            _check_writable(job, existing)
        except OutputError as error:
            assert job.source is not None
            search.refusals.append(Refusal(job.source, error))
        else:
            jobs.append(job)
    return BatchPlan(tuple(jobs), tuple(search.refusals), tuple(search.notes))


def check_exists(path: Path) -> None:
    """Raise UnreadableImageError if there is no such file. Other faults are found when it is read."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableImageError(f"{show_path(path)}: no such file") from None
    except (OSError, ValueError):
        pass


def _stream_plan(job: Job, existing: Existing) -> BatchPlan:
    if job.target is not None:
        check_output(job.target, overwrite=existing is not Existing.KEEP)
    if job.source is None:
        return BatchPlan((job,))
    try:
        check_exists(job.source)
    except UnreadableImageError as error:
        return BatchPlan((), (Refusal(job.source, error),))
    return BatchPlan((job,))


def _stream_job(inputs: Sequence[str], output: str | None, kind: FileKind) -> Job:
    if len(inputs) != 1:
        raise UsageError("standard input or output (-) carries one image; name no other input with it")
    from_stream, to_stream = inputs[0] == STREAM, output in (None, STREAM)
    if not from_stream and _is_folder(Path(inputs[0])):
        raise UsageError(f"{show_path(Path(inputs[0]))} is a folder; standard output carries one image")
    if to_stream:
        return Job(None if from_stream else Path(inputs[0]), None)
    if not _is_output_file(inputs, output, kind):
        raise UsageError(f"{output}: an image from standard input needs an output file, not a folder")
    assert output is not None
    return Job(None, _named_output(output, kind), named=True)


def _is_output_file(inputs: Sequence[str], output: str | None, kind: FileKind) -> bool:
    """Whether `output` names a file; raises UsageError if it should be a folder and cannot be one."""
    if output is None:
        return False
    if output.endswith(("/", os.sep)) or _is_folder(Path(output)):
        return False
    if len(inputs) == 1 and not _is_folder(Path(inputs[0])):
        return True
    if os.path.lexists(output) or _can_be_written(Path(output), kind):
        what = "a folder" if len(inputs) == 1 else f"{len(inputs)} inputs"
        raise UsageError(
            f"{show_path(Path(output))} would be one file for {what}; name an output folder, as in -o clean/"
        )
    return False


def _can_be_written(path: Path, kind: FileKind) -> bool:
    try:
        kind.check_output(path)
    except RestorekitError:
        return False
    return True


def _named_output(output: str, kind: FileKind) -> Path:
    path = Path(output)
    if not path.suffix:
        raise UsageError(f"{show_path(path)}: name a file such as {path.name}.png, or a folder with a slash at its end")
    try:
        kind.check_output(path)
    except UnsupportedImageError as error:
        raise UsageError(f"{show_path(path)}: {error}") from None
    return path


class _Search:
    """Collects the jobs of one command line."""

    def __init__(self, operation: str, output: str | None, kind: FileKind, *, to_file: bool) -> None:
        self.operation = operation
        self.kind = kind
        self.file = _named_output(output, kind) if output is not None and to_file else None
        self.folder = Path(output) if output is not None and not to_file else None
        self.jobs: list[Job] = []
        self.refusals: list[Refusal] = []
        self.notes: list[str] = []

    def add(self, source: Path) -> None:
        try:
            check_exists(source)
        except UnreadableImageError as error:
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
        outputs = [job for job in self.jobs if path_key(job.source) in targets]
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
            kinds = ", ".join(sorted(self.kind.suffixes))
            self.refusals.append(Refusal(folder, ImageError(f"{show_path(folder)}: no pictures in it ({kinds})")))
        for picture in pictures:
            relative = picture.relative_to(folder)
            self.jobs.append(Job(picture, target / relative.parent / self.kind.output_name(relative)))

    def _pictures_in(self, folder: Path, target: Path) -> Iterable[Path]:
        """Regular files with a picture's suffix, in order of name; hidden ones, which may be half written, are not."""
        target_id = _identity(target)
        for parent, folders, files in os.walk(folder, onerror=self._refuse_folder):
            kept = []
            for name in sorted(folders):
                path = Path(parent, name)
                if name.startswith(".") or (target_id is not None and _identity(path) == target_id):
                    continue
                if path.is_symlink():
                    # It may lead back up, or to what is walked already.
                    self.notes.append(f"{show_path(path)}: a link to a folder, not followed")
                    continue
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
        path = Path(os.fsdecode(error.filename))
        self.refusals.append(Refusal(path, ImageError(f"{show_path(path)}: cannot be read ({error.strerror})")))


def _fallbacks(job: Job) -> tuple[Path, ...]:
    """Return the other names that an output beside its input has if the format of `target` cannot hold the picture."""
    if job.source is None or job.target is None or job.source.stem == job.target.stem or job.target.exists():
        return ()
    return tuple(job.target.with_suffix(suffix) for suffix in FALLBACK_SUFFIXES)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _is_folder(path: Path) -> bool:
    """As Path.is_dir, but false also for a name that is too long."""
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _identity(path: Path) -> tuple[int, int] | None:
    status = _status(path)
    return None if status is None else (status.st_dev, status.st_ino)


def _check_outputs(jobs: Sequence[Job], existing: Existing) -> None:
    """No two jobs may share an output, and no output be an input, but its own where that is to be replaced."""
    sources = {path_key(job.source): job for job in jobs}
    writers: dict[str, Job] = {}
    for job in jobs:
        target = path_key(job.target)
        other = writers.setdefault(target, job)
        if other is not job:
            raise UsageError(
                f"{other.source_name} and {job.source_name} would both be written to {job.target_name}; "
                "restore them one at a time or into folders of their own"
            )
        if target not in sources:
            continue
        if target != path_key(job.source):
            raise UsageError(
                f"{job.target_name} is an input and would be the output of {job.source_name}; name an output folder"
            )
        if existing is not Existing.REPLACE:
            raise UsageError(f"{job.target_name} is input and output in one; pass --overwrite to replace the input")


def path_key(path: Path | None) -> str:
    """Return the same text for all names of one file."""
    assert path is not None
    return os.path.normcase(os.path.realpath(path))


def _check_writable(job: Job, existing: Existing) -> None:
    """Raise OutputError for an output that is in the way; output folders are made later, when they are needed."""
    assert job.target is not None
    if job.named or _is_folder(job.target.parent):
        check_output(job.target, overwrite=existing is not Existing.KEEP)
