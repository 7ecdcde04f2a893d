"""`restorekit TASK` and `restorekit degrade NAME`: the commands of every task, and the way they go about files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, TextIO

import typer

from restorekit.cli.options import MessageOptions, make_command
from restorekit.cli.output import FAILED, BatchReporter
from restorekit.errors import UsageError
from restorekit.tasks.base import Degradation, Run, Task, command_help
from restorekit.tasks.prelude import batch, batch_files, imaging, plug_and_play
from restorekit.types import Option, Quality, RunSettings


@dataclass(frozen=True)
class FileOptions:
    """Options of commands that read and write files."""

    panel: ClassVar[str] = "Files"
    inputs: Annotated[
        list[str],
        Option("Images, folders of images (subfolders too), or - for standard input.", "INPUT", argument=True),
    ]
    output: Annotated[
        str | None,
        Option(
            "Output file for one image, output folder for several or for a folder, - for standard output.",
            "PATH",
            ("--output", "-o"),
        ),
    ] = None
    overwrite: Annotated[bool, Option("Replace outputs that exist.")] = False
    skip_existing: Annotated[bool, Option("Resume: skip images whose output is there and complete.")] = False
    strip_metadata: Annotated[bool, Option("Drop EXIF data and colour profiles.")] = False
    max_pixels: Annotated[
        int | None,
        Option("Read images of up to N pixels (default: 89 million, against decompression bombs).", "N", low=1),
    ] = None
    dry_run: Annotated[bool, Option("Say what would be written, and stop.")] = False
    json_lines: Annotated[
        bool,
        Option("Write one JSON object per image to standard output.", flags=("--json",), panel=MessageOptions.panel),
    ] = False

    @property
    def title(self) -> str:
        """The name of the first input's file, in one printable line."""
        return imaging.show_path(Path(Path(self.inputs[0]).name))

    def read(self, path: Path) -> imaging.Picture:
        """Return another picture, such as the one to compare with."""
        return imaging.read_picture(path, max_pixels=self.max_pixels)

    def check_one_picture(self, option: str) -> None:
        """Raise UsageError unless the one input is a file."""
        if len(self.inputs) != 1 or self.inputs[0] == "-" or Path(self.inputs[0]).is_dir():
            raise UsageError(f"{option} is for one picture in a file; name exactly one as input")
        if self.skip_existing:
            raise UsageError(f"{option} and --skip-existing exclude each other")


@dataclass(frozen=True)
class ModelOptions:
    """Options of commands that restore pictures with a model."""

    panel: ClassVar[str] = "Model"
    model: Annotated[
        str | None,
        Option(
            "A name from `restorekit models`, org/name on the hub, or a weights file (default: by picture).",
            "NAME|PATH",
        ),
    ] = None
    quality: Annotated[
        str,
        Option(
            "Speed against quality: patches begin at every third pixel (fast), every second (balanced) or every pixel "
            "(best). Networks without patches run once or, with best, on eight turned and mirrored views, and take the "
            "mean.",
            "fast|balanced|best",
            choices=tuple(Quality),
        ),
    ] = Quality.BALANCED.value
    device: Annotated[str, Option("Where to compute.", "auto|cpu|cuda|cuda:N")] = "auto"
    tile: Annotated[
        str,
        Option(
            "Side of a tile in pixels; auto chooses one that fits into memory, and into the cache of a CPU.", "auto|N"
        ),
    ] = "auto"
    offline: Annotated[bool, Option("Use no network, only the cache of the hub (also HF_HUB_OFFLINE=1).")] = False


@dataclass(frozen=True)
class IterationOptions:
    """Options of commands that iterate: their number, and a plot of the iterations."""

    panel: ClassVar[str] = "Iterations"
    iterations: Annotated[
        int | None, Option("Number of iterations (default: the one that measured best).", "N", low=1, high=1000)
    ] = None
    trajectory: Annotated[
        Path | None, Option("Plot the change that each iteration made and, with --reference, its PSNR.", "OUT.png")
    ] = None
    reference: Annotated[Path | None, Option("The clean picture to measure each iteration against.", "IMG")] = None

    def check(self, task: Task[Any], options: Any, files: FileOptions) -> None:
        """Raise before any work for options that no picture could satisfy."""
        if self.trajectory is None:
            if self.reference is not None:
                raise UsageError("--reference is for a plot; name its file with --trajectory OUT.png")
            return
        files.check_one_picture("--trajectory")
        if self.trajectory.suffix.lower() != ".png":
            raise UsageError(f"--trajectory {self.trajectory}: a plot is a PNG file; name one ending in .png")
        task.check_reference(options, files.inputs, self.reference)
        if self.reference is not None:
            batch.check_exists(self.reference)
        imaging.check_output(self.trajectory, overwrite=files.overwrite)
        from restorekit.pages.figures import check_plots

        check_plots()

    def start(self, task: Task[Any], options: Any, files: FileOptions) -> plug_and_play.Trajectory | None:
        """Return what records the iterations, if there is a plot to make."""
        if self.trajectory is None:
            return None
        reference = self.reference or task.reference_of(options, files.inputs)
        return plug_and_play.Trajectory(None if reference is None else files.read(reference).to_float())

    def draw(self, found: plug_and_play.Trajectory, files: FileOptions) -> None:
        """Write the plot, if there is something to plot."""
        from restorekit.pages.figures import draw_convergence

        if self.trajectory is not None and found.residuals:
            plot = draw_convergence(found.residuals, found.psnrs, files.title)
            imaging.write_file(self.trajectory, plot, overwrite=files.overwrite)


@dataclass(frozen=True)
class ExplainOptions:
    """Options of commands that can explain how they restored a picture."""

    panel: ClassVar[str] = "Explanation"
    explain: Annotated[
        Path | None, Option("Write a page on how the network restored the picture, to a new or empty folder.", "DIR")
    ] = None
    at: Annotated[
        str | None,
        Option("The pixel to look at, counted from 0,0 at the top left (default: the most detailed place).", "X,Y"),
    ] = None
    reference: Annotated[Path | None, Option("The clean picture to compare with.", "IMG")] = None

    @property
    def pixel(self) -> tuple[int, int] | None:
        """The pixel to look at as x and y. Raises UsageError for another text."""
        if self.at is None:
            return None
        parts = self.at.split(",")
        if len(parts) != 2 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
            raise UsageError(f"--at {self.at}: name a pixel by its column and row, as in --at 120,80")
        return int(parts[0]), int(parts[1])

    def check(self, files: FileOptions) -> None:
        """Raise before any work for options that no picture could satisfy."""
        if self.explain is None:
            if self.at is not None or self.reference is not None:
                raise UsageError("--at and --reference are for an explanation; name its folder with --explain DIR")
            return
        files.check_one_picture("--explain")
        _ = self.pixel
        if self.reference is not None:
            batch.check_exists(self.reference)
        from restorekit.explain.page import check_apart, check_folder

        output = None if files.output in (None, "-") else Path(files.output)
        pictures = [Path(files.inputs[0]), self.reference, output]
        check_apart(self.explain, [picture for picture in pictures if picture is not None])
        check_folder(self.explain, overwrite=files.overwrite)

    def explained(self, operation: batch.Operation, files: FileOptions) -> batch.Operation:
        """Return the operation, with a page on how it went if one is wanted."""
        if self.explain is None:
            return operation
        from restorekit.explain import Explained

        reference = None if self.reference is None else files.read(self.reference)
        return Explained(operation, files.title, self.explain, files.overwrite, self.pixel, reference)


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
        explanation.check(files)
        iterations.check(task, options, files)
        kind = task.files(options, files.inputs, max_pixels=files.max_pixels, strip_metadata=files.strip_metadata)
        trajectories: list[plug_and_play.Trajectory] = []

        def make_operation() -> batch.Operation:
            explained, count = explanation.explain is not None, iterations.iterations
            watch = iterations.start(task, options, files)
            trajectories.extend([] if watch is None else [watch])
            models = task.select(options, model.model, iterations=count, offline=model.offline, explained=explained)
            operation = task.prepare(options, Run(models, settings, count, watch, explained))
            return explanation.explained(operation, files)

        run_on_files(files, messages, kind, task.participle, make_operation)
        for trajectory in trajectories:
            iterations.draw(trajectory, files)

    hints: dict[str, Any] = {"files": FileOptions, "options": task.Options, "model": ModelOptions}
    if task.iterates:
        hints["iterations"] = IterationOptions
    if task.wording is not None:
        hints["explanation"] = ExplainOptions
    return make_command(restore, {**hints, "messages": MessageOptions}, command_help(type(task)))


def degrade_command(kind: type[Degradation[Any]]) -> Callable[..., None]:
    """Return the command that makes pictures worse in a certain way."""

    def degrade(files: FileOptions, options: Any, messages: MessageOptions) -> None:
        degradation = kind(options)
        files_kind = degradation.files(files.max_pixels, files.strip_metadata)
        run_on_files(files, messages, files_kind, kind.participle, lambda: degradation)

    hints = {"files": FileOptions, "options": kind.Options, "messages": MessageOptions}
    return make_command(degrade, hints, command_help(kind))


def run_on_files(
    files: FileOptions,
    messages: MessageOptions,
    kind: batch_files.FileKind,
    participle: str,
    make_operation: Callable[[], batch.Operation],
) -> None:
    """Plan the files, make the operation, restore every input and report.

    participle: what the operation makes of an input, for the names of outputs: `denoised`, `noisy`. make_operation:
    loads the model; called once it is certain that there is something to do. Raises typer.Exit: some inputs failed.
    RestorekitError: nothing could be done.
    """
    if files.overwrite and files.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    states = batch.Existing
    existing = states.REPLACE if files.overwrite else states.SKIP if files.skip_existing else states.KEEP
    plan = batch.plan_batch(files.inputs, files.output, operation=participle, existing=existing, kind=kind)
    _check_streams(plan, files)
    operation = None if files.dry_run or not plan.jobs else make_operation()
    with BatchReporter(plan, messages, json_lines=files.json_lines) as reporter:
        streams = _bytes_of(sys.stdin), _bytes_of(sys.stdout)
        for outcome in batch.run_batch(plan, operation, existing, kind, *streams):
            reporter.report(outcome)
    if reporter.failures:
        raise typer.Exit(FAILED)


def _bytes_of(stream: TextIO | None) -> BinaryIO:
    """Return the bytes under a standard stream; a closed one, which no job here uses, has none."""
    return io.BytesIO() if stream is None else stream.buffer


def _check_streams(plan: batch.BatchPlan, files: FileOptions) -> None:
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
