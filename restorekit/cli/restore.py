"""`restorekit TASK` and `restorekit degrade NAME`: the commands of every task, and the way they go about files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import typer

from restorekit.cli.options import (
    ExplainOptions,
    FileOptions,
    IterationOptions,
    MessageOptions,
    ModelOptions,
    make_command,
)
from restorekit.cli.output import FAILED, BatchReporter
from restorekit.errors import OutputError, UsageError
from restorekit.tasks.base import Degradation, Run, Task, command_help
from restorekit.types import RunSettings

if TYPE_CHECKING:
    from restorekit.batch.files import FileKind
    from restorekit.batch.plan import BatchPlan, Existing
    from restorekit.batch.run import Operation
    from restorekit.inference.plug_and_play import Trajectory

_NO_ITERATIONS, _NO_EXPLANATION = IterationOptions(), ExplainOptions()


def restore_command(task: Task[Any]) -> Callable[..., None]:
    """Return the command that restores by a task."""

    def restore(
        files: FileOptions,
        options: Any,
        model: ModelOptions,
        messages: MessageOptions,
        iterations: IterationOptions = _NO_ITERATIONS,
        explanation: ExplainOptions = _NO_EXPLANATION,
    ) -> None:
        task.check(options, files.inputs)
        settings = RunSettings.parse(model.quality, model.device, model.tile)
        _check_explanation(explanation, files)
        _check_iterations(task, options, iterations, files)
        kind = task.files(options, files.inputs, max_pixels=files.max_pixels, strip_metadata=files.strip_metadata)
        trajectories: list[Trajectory] = []

        def make_operation() -> Operation:
            explained = explanation.explain is not None
            watch = _start_trajectory(task, options, iterations, files)
            trajectories.extend([] if watch is None else [watch])
            models = task.select(
                options, model.model, iterations=iterations.iterations, offline=model.offline, explained=explained
            )
            run = Run(models, settings, iterations.iterations, watch, explained)
            operation = task.prepare(options, run)
            return _explained(operation, explanation, files) if explained else operation

        run_on_files(files, messages, kind, task.participle, make_operation)
        for trajectory in trajectories:
            _draw_trajectory(trajectory, iterations, files)

    hints: dict[str, Any] = {"files": FileOptions, "options": task.Options, "model": ModelOptions}
    if task.iterates:
        hints["iterations"] = IterationOptions
    if task.wording is not None:
        hints["explanation"] = ExplainOptions
    return make_command(restore, {**hints, "messages": MessageOptions}, {}, command_help(type(task)))


def degrade_command(kind: type[Degradation[Any]]) -> Callable[..., None]:
    """Return the command that makes pictures worse in a certain way."""

    def degrade(files: FileOptions, options: Any, messages: MessageOptions) -> None:
        degradation = kind(options)
        files_kind = degradation.files(files.max_pixels, files.strip_metadata)
        run_on_files(files, messages, files_kind, kind.participle, lambda: degradation)

    hints = {"files": FileOptions, "options": kind.Options, "messages": MessageOptions}
    return make_command(degrade, hints, {}, command_help(kind))


def run_on_files(
    files: FileOptions,
    messages: MessageOptions,
    kind: FileKind,
    participle: str,
    make_operation: Callable[[], Operation],
) -> None:
    """Plan the files, make the operation, restore every input and report.

    Args:
        files: inputs, output and how to treat them, as typed.
        messages: how much to say.
        kind: of the files.
        participle: what the operation makes of an input, for the names of outputs: `denoised`, `noisy`.
        make_operation: loads the model; called once it is certain that there is something to do.

    Raises:
        typer.Exit: some inputs failed.
        RestorekitError: nothing could be done.
    """
    from restorekit.batch.plan import Existing, plan_batch
    from restorekit.batch.run import run_batch

    if files.overwrite and files.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    existing = Existing.REPLACE if files.overwrite else Existing.SKIP if files.skip_existing else Existing.KEEP
    plan = plan_batch(files.inputs, files.output, operation=participle, existing=existing, kind=kind)
    _check_streams(plan, files)
    idle = files.dry_run or not plan.jobs
    operation = None if idle else make_operation()
    with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
        if operation is None:
            _announce(plan, existing, kind, reporter)
        else:
            streams = _bytes_of(sys.stdin), _bytes_of(sys.stdout)
            for outcome in run_batch(plan, operation, existing, kind, *streams):
                reporter.report(outcome)
    if reporter.failed:
        raise typer.Exit(FAILED)


def _bytes_of(stream: TextIO | None) -> BinaryIO:
    """Return the bytes under a standard stream; a closed one, which no job here uses, has none."""
    return io.BytesIO() if stream is None else stream.buffer


def _check_streams(plan: BatchPlan, files: FileOptions) -> None:
    """Raise UsageError where standard output would carry an image and JSON, or a terminal an image."""
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


def _announce(plan: BatchPlan, existing: Existing, kind: FileKind, reporter: BatchReporter) -> None:
    from restorekit.batch.plan import Existing
    from restorekit.batch.run import Failed, Skipped, is_finished

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


def _check_explanation(explanation: ExplainOptions, files: FileOptions) -> None:
    """Raise before any work for options that no picture could satisfy."""
    if explanation.explain is None:
        if explanation.at is not None or explanation.reference is not None:
            raise UsageError("--at and --reference are for an explanation; name its folder with --explain DIR")
        return
    files.check_one_file("--explain", "picture")
    _ = explanation.pixel
    _check_reference(explanation.reference)
    from restorekit.explain.page import check_apart, check_folder

    output = None if files.output in (None, "-") else Path(files.output)
    pictures = [Path(files.inputs[0]), explanation.reference, output]
    check_apart(explanation.explain, [picture for picture in pictures if picture is not None])
    check_folder(explanation.explain, overwrite=files.overwrite)


def _explained(operation: Operation, explanation: ExplainOptions, files: FileOptions) -> Operation:
    """Return the operation with a page on how it went."""
    from restorekit.explain import Explained
    from restorekit.image import read_picture, show_path

    assert explanation.explain is not None
    reference = explanation.reference
    return Explained(
        operation,
        show_path(Path(Path(files.inputs[0]).name)),
        explanation.explain,
        files.overwrite,
        explanation.pixel,
        None if reference is None else read_picture(reference, max_pixels=files.max_pixels),
    )


def _check_iterations(task: Task[Any], options: Any, iterations: IterationOptions, files: FileOptions) -> None:
    """Raise before any work for options that no picture could satisfy."""
    if iterations.trajectory is None:
        if iterations.reference is not None:
            raise UsageError("--reference is for a plot; name its file with --trajectory OUT.png")
        return
    files.check_one_file("--trajectory", "picture")
    if iterations.trajectory.suffix.lower() != ".png":
        raise UsageError(f"--trajectory {iterations.trajectory}: a plot is a PNG file; name one ending in .png")
    task.check_reference(options, files.inputs, iterations.reference)
    _check_reference(iterations.reference)
    from restorekit.image import check_output

    check_output(iterations.trajectory, overwrite=files.overwrite)
    from restorekit.pages.figures import check_plots

    check_plots()


def _check_reference(reference: Path | None) -> None:
    from restorekit.batch.plan import check_exists

    if reference is not None:
        check_exists(reference)


def _start_trajectory(
    task: Task[Any], options: Any, iterations: IterationOptions, files: FileOptions
) -> Trajectory | None:
    if iterations.trajectory is None:
        return None
    from restorekit.image import read_picture
    from restorekit.inference.plug_and_play import Trajectory

    reference = iterations.reference or task.reference_of(options, files.inputs)
    if reference is None:
        return Trajectory()
    return Trajectory(read_picture(reference, max_pixels=files.max_pixels).to_float())


def _draw_trajectory(trajectory: Trajectory, iterations: IterationOptions, files: FileOptions) -> None:
    """Write the plot, if there is something to plot."""
    from restorekit.image import show_path, write_file
    from restorekit.pages.figures import draw_convergence

    if iterations.trajectory is not None and trajectory.residuals:
        title = show_path(Path(Path(files.inputs[0]).name))
        plot = draw_convergence(trajectory.residuals, trajectory.psnrs, title)
        write_file(iterations.trajectory, plot, overwrite=files.overwrite)
