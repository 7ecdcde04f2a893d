"""The one way in which every command that makes pictures from pictures goes about its files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, TextIO

import typer

from restorekit.cli.errors import FAILED
from restorekit.cli.options import FileOptions, MessageOptions
from restorekit.errors import OutputError, UsageError

if TYPE_CHECKING:
    from restorekit.cli.report import BatchReporter
    from restorekit.restore.batch import Operation
    from restorekit.restore.plan import Existing, Plan


def run_on_files(
    files: FileOptions,
    messages: MessageOptions,
    make_operation: Callable[[], Operation],
    *,
    participle: str,
    written_as: Mapping[str, str] = MappingProxyType({}),
    camera_raw: bool = False,
) -> None:
    """Plan the files, make the operation, restore every picture and report.

    Args:
        files: inputs, output and how to treat them, as typed.
        messages: how much to say.
        make_operation: loads the model; called once it is certain that there is something to do.
        participle: what the operation makes of a picture, for the names of outputs: `denoised`, `noisy`.
        written_as: see `plan_batch`.
        camera_raw: whether RAW files are read; see `plan_batch`.

    Raises:
        typer.Exit: some inputs failed.
        RestorekitError: nothing could be done.

    """
    existing = _existing(files)
    from restorekit.cli.report import BatchReporter
    from restorekit.restore.batch import BatchSettings, run_batch
    from restorekit.restore.plan import plan_batch

    plan = plan_batch(
        files.inputs,
        files.output,
        operation=participle,
        existing=existing,
        written_as=written_as,
        camera_raw=camera_raw,
    )
    _check_streams(plan, files)
    if files.dry_run or not plan.jobs:
        with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
            _announce(plan, existing, reporter)
    else:
        operation = make_operation()
        settings = BatchSettings(existing, files.strip_metadata, files.max_pixels, written_as, camera_raw)
        with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
            for outcome in run_batch(plan, operation, settings, _bytes_of(sys.stdin), _bytes_of(sys.stdout)):
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


def _announce(plan: Plan, existing: Existing, reporter: BatchReporter) -> None:
    from restorekit.restore.batch import Failed, Skipped, is_finished
    from restorekit.restore.plan import Existing

    for job in plan.jobs:
        try:
            finished = existing is Existing.SKIP and is_finished(job)
        except OutputError as error:
            reporter.report(Failed(job, error))
            continue
        if finished:
            reporter.report(Skipped(job))
        else:
            reporter.announce(job)
