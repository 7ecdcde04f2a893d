"""`restorekit eval TASK`: how good and how fast the models are, beside the methods that users know."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from restorekit.cli.options import MessageOptions, make_command
from restorekit.cli.output import STREAM, Reporter
from restorekit.errors import DatasetError, UsageError
from restorekit.tasks.base import Benchmark, Run, Task, command_help
from restorekit.tasks.prelude import imaging, mri_files, runner
from restorekit.types import Option, Quality, RunSettings

if TYPE_CHECKING:
    from restorekit.evaluate.results import Evaluation


@dataclass(frozen=True)
class EvalOptions:
    """Options of commands that measure models: `restorekit eval`."""

    data: Annotated[Path, Option("A folder of clean images.", "DIR")]
    model: Annotated[
        list[str] | None,
        Option("A model to measure; repeatable (default: the default models of the task).", "NAME|PATH"),
    ] = None
    quality: Annotated[
        list[str] | None,
        Option(
            "Speed against quality, as in `restorekit denoise`; repeatable (default: balanced).",
            "fast|balanced|best",
            choices=tuple(Quality),
        ),
    ] = None
    device: Annotated[str, Option("Where to compute.", "auto|cpu|cuda|cuda:N")] = "auto"
    tile: Annotated[str, Option("Side of a tile in pixels.", "auto|N")] = "auto"
    offline: Annotated[bool, Option("Use no network, only the cache of the hub.")] = False
    max_pixels: Annotated[int | None, Option("Read images of up to N pixels.", "N", low=1)] = None
    json_file: Annotated[
        str | None, Option("Write all figures as JSON; - for standard output.", "FILE", ("--json",))
    ] = None
    report: Annotated[Path | None, Option("Write an HTML page with tables and crops.", "FILE.html")] = None
    overwrite: Annotated[bool, Option("Replace the files of --json and --report.")] = False


def eval_command(task: Task[Any], benchmark: type[Benchmark[Any]]) -> Callable[..., None]:
    """Return the command that measures a task."""

    def evaluate(
        eval_options: EvalOptions,
        options: Any,
        messages: MessageOptions,
        against: list[str] | None = None,
        seed: int = 0,
    ) -> None:
        made = benchmark(options)
        made.task = task
        qualities = eval_options.quality or ["balanced"]
        settings = [RunSettings.parse(quality, eval_options.device, eval_options.tile) for quality in qualities]
        _check_files(eval_options)
        methods = {name: made.baseline(name) for name in against or []}
        notes = _add_models(methods, made, settings, eval_options)
        from restorekit.evaluate import evaluate_methods, write_report

        with Reporter(messages) as reporter:
            evaluation = evaluate_methods(
                eval_options.data,
                made,
                methods,
                seed=seed,
                device=str(runner.resolve_device(eval_options.device)),
                max_pixels=eval_options.max_pixels,
                notes=notes,
                progress=reporter.progress,
            )
        _show(evaluation, reporter)
        if eval_options.json_file == STREAM:
            print(evaluation.to_json(), file=sys.stdout)
        elif eval_options.json_file is not None:
            document, path = f"{evaluation.to_json()}\n".encode(), Path(eval_options.json_file)
            imaging.write_file(path, document, overwrite=eval_options.overwrite)
        if eval_options.report is not None:
            write_report(evaluation, eval_options.report, overwrite=eval_options.overwrite)

    names = tuple(benchmark.baselines)
    against_option = Option(_baselines_help(benchmark), "|".join(names), choices=names)
    hints: dict[str, Any] = {
        "eval_options": EvalOptions,
        "options": benchmark.Options,
        "against": Annotated[list[str] | None, against_option],
    }
    if benchmark.seeded:
        seed_option = Option("Seed of the random numbers; every method gets the same.", "N", low=0)
        hints["seed"] = Annotated[int, seed_option]
    return make_command(evaluate, {**hints, "messages": MessageOptions}, command_help(benchmark))


def _baselines_help(benchmark: type[Benchmark[Any]]) -> str:
    sentences = ["A baseline to measure as well; repeatable."]
    extra = [name for name, baseline in benchmark.baselines.items() if baseline.package]
    if extra:
        sentences.append(f"{' and '.join(extra)} need{'s' * (len(extra) == 1)} the extra `baselines`.")
    sentences += [f"{baseline.note}." for baseline in benchmark.baselines.values() if baseline.note]
    return " ".join(sentences)


def _add_models(
    methods: dict[str, Any], benchmark: Benchmark[Any], settings: list[RunSettings], options: EvalOptions
) -> list[str]:
    """Add every model at every quality to the methods; return notes on the choice of models."""
    named: list[str] | list[None] = options.model or [None]
    choices = [benchmark.task.select(None, name, offline=options.offline) for name in named]
    for choice in choices:
        for setting in settings:
            run = Run(choice, setting)
            benchmark.check(run)
            name = benchmark.method_name(run)
            if name in methods and choice.named is not None:
                raise UsageError(f"methods of one name cannot be told apart: {name}")
            methods.setdefault(name, lambda y, condition, run=run: benchmark.restore(y, condition, run))
    return [choice.note for choice in choices if choice.note]


def _check_files(options: EvalOptions) -> None:
    """Raise before any work for a folder without images, and for an output that could not be written."""
    if options.report is not None and options.json_file == str(options.report):
        raise UsageError(f"--json and --report cannot share one file, {options.json_file}")
    for path in (options.report, None if options.json_file in (None, STREAM) else Path(str(options.json_file))):
        if path is not None:
            imaging.check_output(path, overwrite=options.overwrite)
    if not options.data.is_dir():
        raise DatasetError(f"{imaging.show_path(options.data)}: no such folder")
    if not any(
        path.suffix.lower() in {*imaging.supported_suffixes, mri_files.SLICES_SUFFIX}
        for path in options.data.rglob("*")
    ):
        known = ", ".join(sorted(imaging.supported_suffixes))
        raise DatasetError(f"{imaging.show_path(options.data)}: no images in it; known are {known}")


def _show(evaluation: Evaluation, reporter: Reporter) -> None:
    """Show a row a method - PSNR and SSIM under each condition, and speed over all of them -, notes and gaps."""
    from rich.table import Table

    if reporter.options.quiet:
        return
    table = Table(title=f"{evaluation.dataset}: {len(evaluation.images)} images, {evaluation.device}")
    table.add_column("method")
    for label in [*(condition.label for condition in evaluation.conditions), "MP/s"]:
        table.add_column(label, justify="right")
    for method in evaluation.methods:
        results = [evaluation.result(method, condition) for condition in evaluation.conditions]
        figures = [f"{result.psnr:.2f} dB  {result.ssim:.4f}" for result in results]
        speed = evaluation.megapixels_per_second(method)
        table.add_row(method, *figures, "" if speed is None else f"{speed:.3g}")
    reporter.console.print(table)
    for note in evaluation.notes:
        reporter.say(note)
    for skipped in evaluation.skipped:
        reporter.say(f"left out {skipped.image}: {skipped.reason}")
