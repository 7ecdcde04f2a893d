"""The one way in which every `restorekit eval` command measures, shows and writes its figures."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from restorekit.cli.options import MessageOptions
from restorekit.cli.values import AUTO, parse_settings
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from restorekit.evaluate import CleanImage, Degradation, Evaluation, Method, Progress
    from restorekit.inference.runner import RunSettings
    from restorekit.zoo.selection import ModelSelection

STDOUT = "-"

SECONDS_BETWEEN_LINES = 10.0
"""Without a terminal an evaluation tells its state at most so often."""

_L = TypeVar("_L", bound=Hashable)


@dataclass(frozen=True)
class EvalOptions:
    """Options of every command that measures."""

    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="A folder of clean images.")]
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME|PATH", help="A model to measure; repeatable (default: the task's default models)."
        ),
    ] = None
    quality: Annotated[
        list[str] | None,
        typer.Option(
            "--quality",
            metavar="fast|balanced|best",
            autocompletion=lambda: ["fast", "balanced", "best"],
            help="How densely patches are restored, as for denoise; repeatable (default: balanced).",
        ),
    ] = None
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.")] = AUTO
    tile: Annotated[str, typer.Option("--tile", metavar="auto|N", help="Side of a tile in pixels.")] = AUTO
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False
    max_pixels: Annotated[
        int | None, typer.Option("--max-pixels", metavar="N", min=1, help="Read images of up to N pixels.")
    ] = None
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON; - for standard output.")
    ] = None
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with tables and crops.")
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of --json and --report.")] = False


def run_evaluation(
    options: EvalOptions,
    messages: MessageOptions,
    degradation: Degradation[_L],
    baselines: Sequence[Method[_L]],
    make_method: Callable[[ModelSelection, RunSettings], Method[_L]],
    *,
    seed: int = 0,
) -> None:
    """Measure baselines and models, show the table, write JSON and page.

    Args:
        options: data, models and outputs, as typed.
        messages: how much to say.
        degradation: what is done to the clean images, and at which levels.
        baselines: methods that come first in the table.
        make_method: a model at one quality as a method, or an error if it was not made for these levels.
        seed: of what the degradation draws at random.

    Raises:
        RestorekitError: nothing could be measured, or the figures not be written.
    """
    from restorekit.zoo.selection import ModelSelection

    settings = run_settings(options)
    names: list[str] | list[None] = options.model or [None]
    choices = [ModelSelection(degradation.task, name, offline=options.offline) for name in names]
    methods = [*baselines, *(make_method(choice, setting) for choice in choices for setting in settings)]
    notes = [choice.note for choice in choices if choice.note]
    measure_methods(options, messages, degradation, methods, seed=seed, notes=notes)


def run_settings(options: EvalOptions) -> list[RunSettings]:
    """The settings at each quality; raises before any work for an output that could not be written after it."""
    _check_outputs(options)
    return [parse_settings(quality, options.device, options.tile) for quality in options.quality or ["balanced"]]


def measure_methods(
    options: EvalOptions,
    messages: MessageOptions,
    degradation: Degradation[_L],
    methods: Sequence[Method[_L]],
    *,
    seed: int = 0,
    notes: Sequence[str] = (),
    images: Sequence[CleanImage] | None = None,
) -> None:
    """Measure methods, show the table, write JSON and page.

    Args:
        options: data and outputs, as typed.
        messages: how much to say.
        degradation: what is done to the clean images, and at which levels.
        methods: in the order of the table.
        seed: of what the degradation draws at random.
        notes: remarks on the methods.
        images: those to measure with, if not all pictures of the folder.

    Raises:
        RestorekitError: nothing could be measured, or the figures not be written.
    """
    from restorekit.evaluate import evaluate_methods, write_report
    from restorekit.image import write_file
    from restorekit.inference.runner import resolve_device

    device = str(resolve_device(options.device))
    with EvaluationReporter(messages) as reporter:
        evaluation = evaluate_methods(
            options.data,
            degradation,
            methods,
            seed=seed,
            device=device,
            max_pixels=options.max_pixels,
            images=images,
            notes=notes,
            progress=reporter.report,
        )
    reporter.show(evaluation)
    if options.json_file == STDOUT:
        print(evaluation.to_json(), file=sys.stdout)
    elif options.json_file is not None:
        write_file(Path(options.json_file), f"{evaluation.to_json()}\n".encode(), overwrite=options.overwrite)
    if options.report is not None:
        write_report(evaluation, options.report, overwrite=options.overwrite)


def _check_outputs(options: EvalOptions) -> None:
    """Raise before any work for an output that could not be written after it."""
    from restorekit.image import check_output

    if options.report is not None and options.json_file == str(options.report):
        raise UsageError(f"--json and --report cannot share one file, {options.json_file}")
    for path in (options.report, None if options.json_file in (None, STDOUT) else Path(str(options.json_file))):
        if path is not None:
            check_output(path, overwrite=options.overwrite)


class EvaluationReporter:
    """A progress bar on a terminal, a plain line now and then elsewhere, and the table at the end."""

    def __init__(self, messages: MessageOptions) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from restorekit.cli.console import make_console

        self._quiet = messages.quiet
        self._console = make_console(stderr=True)
        self._told = time.monotonic()
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=self._quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> EvaluationReporter:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def report(self, state: Progress) -> None:
        """Show how far it is."""
        self._bar.update(self._task, completed=state.done, total=state.total, description=state.image)
        if self._quiet or self._console.is_terminal:
            return
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            self._console.print(f"{state.done} of {state.total} runs, {state.image}", soft_wrap=True)

    def show(self, evaluation: Evaluation) -> None:
        """The table, which models it is of, and what was left out."""
        if self._quiet:
            return
        self._console.print(_table(evaluation))
        for note in evaluation.notes:
            self._console.print(note, soft_wrap=True)
        for skipped in evaluation.skipped:
            self._console.print(f"left out {skipped.image}: {skipped.reason}", soft_wrap=True)


def _table(evaluation: Evaluation) -> Table:
    """A row a method: PSNR and SSIM at each level, and speed over all of them."""
    from rich.table import Table

    table = Table(title=f"{evaluation.dataset}: {len(evaluation.images)} images, {evaluation.device}")
    table.add_column("method")
    for level in evaluation.levels:
        table.add_column(level.label, justify="right")
    table.add_column("MP/s", justify="right")
    for method in evaluation.methods:
        results = [evaluation.result(method, level) for level in evaluation.levels]
        figures = [f"{result.psnr:.2f} dB  {result.ssim:.4f}" for result in results]
        speed = evaluation.megapixels_per_second(method)
        table.add_row(method, *figures, "" if speed is None else f"{speed:.3g}")
    return table
