"""The one way in which every command that makes pictures from pictures goes about its files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, TextIO

import typer

from restorekit.cli.errors import FAILED
from restorekit.cli.options import FileOptions, MessageOptions
from restorekit.errors import OutputError, UsageError

if TYPE_CHECKING:
    from restorekit.cli.report import BatchReporter
    from restorekit.restore.batch import Operation, Outcome
    from restorekit.restore.kinds import FileKind
    from restorekit.restore.plan import Existing, Plan
    from restorekit.restore.scans import ScanFiles, ScanOperation

Streams = tuple[BinaryIO, BinaryIO]
"""Standard input and standard output, as bytes."""


def run_on_files(
    files: FileOptions,
    messages: MessageOptions,
    make_operation: Callable[[], Operation],
    *,
    participle: str,
    written_as: Mapping[str, str] = MappingProxyType({}),
    camera_raw: bool = False,
    channels: int | None = None,
) -> None:
    """Plan the files, make the operation, restore every picture and report.

    Args:
        files: inputs, output and how to treat them, as typed.
        messages: how much to say.
        make_operation: loads the model; called once it is certain that there is something to do.
        participle: what the operation makes of a picture, for the names of outputs: `denoised`, `noisy`.
        written_as: see `PictureFiles`.
        camera_raw: likewise.
        channels: likewise.

    Raises:
        typer.Exit: some inputs failed.
        RestorekitError: nothing could be done.

    """
    existing = _existing(files)
    from restorekit.restore.batch import BatchSettings, run_batch
    from restorekit.restore.kinds import PictureFiles
    from restorekit.restore.plan import plan_batch

    kind = PictureFiles(written_as, camera_raw, channels)
    plan = plan_batch(files.inputs, files.output, operation=participle, existing=existing, kind=kind)
    _check_streams(plan, files)

    def run(streams: Streams) -> Iterator[Outcome]:
        settings = BatchSettings(existing, files.strip_metadata, files.max_pixels, kind)
        return run_batch(plan, make_operation(), settings, *streams)

    _work_through(plan, files, messages, kind, run)


def run_on_scans(
    files: FileOptions,
    messages: MessageOptions,
    make_operation: Callable[[], ScanOperation],
    *,
    participle: str,
    kind: ScanFiles,
) -> None:
    """As `run_on_files`, where k-space is read or written; `kind` says which."""
    existing = _existing(files)
    from restorekit.restore.plan import plan_batch
    from restorekit.restore.scans import run_scans

    plan = plan_batch(files.inputs, files.output, operation=participle, existing=existing, kind=kind)
    _check_streams(plan, files)

    def run(streams: Streams) -> Iterator[Outcome]:
        return run_scans(plan, make_operation(), existing, kind, *streams)

    _work_through(plan, files, messages, kind, run)


def _work_through(
    plan: Plan,
    files: FileOptions,
    messages: MessageOptions,
    kind: FileKind,
    run: Callable[[Streams], Iterator[Outcome]],
) -> None:
    """Report the outcomes of `run`, called once it is certain that there is something to do, or what it would do."""
    from restorekit.cli.report import BatchReporter

    if files.dry_run or not plan.jobs:
        with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
            _announce(plan, _existing(files), kind, reporter)
    else:
        outcomes = run((_bytes_of(sys.stdin), _bytes_of(sys.stdout)))
        with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
            for outcome in outcomes:
                reporter.report(outcome)
    if reporter.failed:
        raise typer.Exit(FAILED)


def _bytes_of(stream: TextIO | None) -> BinaryIO:
    """The bytes under a standard stream; a closed one, which no job here uses, has none."""
    return io.BytesIO() if stream is None else stream.buffer


def _existing(files: FileOptions) -> Existing:
    from restorekit.restore.plan import Existing

    if files.overwrite and files.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    if files.overwrite:
        return Existing.REPLACE
    return Existing.SKIP if files.skip_existing else Existing.KEEP


def _check_streams(plan: Plan, files: FileOptions) -> None:
    """Standard output carries an image or JSON, and neither images to nor from a terminal make sense."""
    for job in plan.jobs:
        if job.target is None and files.json_lines:
            raise UsageError("--json and an image cannot share standard output; name an output file with -o")
        if files.dry_run:
            continue
        if job.source is None and (sys.stdin is None or sys.stdin.isatty()):
            raise UsageError(
                "standard input is closed or a terminal; pipe an image into it, as in: cat img.png | restorekit ... -"
            )
        if job.target is None and (sys.stdout is None or sys.stdout.isatty()):
            raise UsageError("standard output is closed or a terminal; redirect it to a file, or name one with -o")


def _announce(plan: Plan, existing: Existing, kind: FileKind, reporter: BatchReporter) -> None:
    from restorekit.restore.batch import Failed, Skipped, is_finished
    from restorekit.restore.plan import Existing

    for job in plan.jobs:
        try:
            finished = existing is Existing.SKIP and is_finished(job, kind)
        except OutputError as error:
            reporter.report(Failed(job, error))
            continue
        if finished:
            reporter.report(Skipped(job))
        else:
            reporter.announce(job)
