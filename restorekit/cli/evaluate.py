"""`restorekit eval TASK`: how good and how fast the models are, beside the methods that users know."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from restorekit.cli.options import EvalOptions, MessageOptions, make_command
from restorekit.cli.output import STREAM, Reporter
from restorekit.errors import DatasetError, UsageError
from restorekit.tasks.base import Benchmark, Run, Task, command_help
from restorekit.types import Option, RunSettings

if TYPE_CHECKING:
    from rich.table import Table

    from restorekit.evaluate.results import Evaluation


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
        settings = [
            RunSettings.parse(quality, eval_options.device, eval_options.tile)
            for quality in eval_options.quality or ["balanced"]
        ]
        _check_files(eval_options)
        baselines = {name: made.baseline(name) for name in against or []}
        _measure(made, settings, baselines, eval_options, messages, seed)

    names = tuple(benchmark.baselines)
    against = Option(_baselines_help(benchmark), "|".join(names), choices=names)
    seed_option = Option("Seed of the random numbers; every method gets the same.", "N", low=0)
    single = {
        "against": _single("against", list[str] | None, against, None),
        "seed": _single("seed", int, seed_option, 0),
    }
    hints: dict[str, Any] = {"eval_options": EvalOptions, "options": benchmark.Options, "against": None}
    if benchmark.seeded:
        hints["seed"] = None
    single = {name: parameter for name, parameter in single.items() if name in hints}
    return make_command(evaluate, {**hints, "messages": MessageOptions}, single, command_help(benchmark))


def _baselines_help(benchmark: type[Benchmark[Any]]) -> str:
    sentences = ["A baseline to measure as well; repeatable."]
    extra = [name for name, baseline in benchmark.baselines.items() if baseline.package]
    if extra:
        sentences.append(f"{' and '.join(extra)} need{'s' * (len(extra) == 1)} the extra `baselines`.")
    sentences += [f"{baseline.note}." for baseline in benchmark.baselines.values() if baseline.note]
    return " ".join(sentences)


def _single(name: str, kind: Any, option: Option, default: object) -> inspect.Parameter:
    from restorekit.cli.options import for_typer

    annotation = for_typer(name, Annotated[kind, option])
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _measure(
    benchmark: Benchmark[Any],
    settings: list[RunSettings],
    baselines: dict[str, Any],
    options: EvalOptions,
    messages: MessageOptions,
    seed: int,
) -> None:
    """Measure baselines and models, show the table, write JSON and page."""
    from restorekit.evaluate import evaluate_methods, write_report
    from restorekit.image import write_file
    from restorekit.inference.runner import resolve_device

    task = benchmark.task
    named: list[str] | list[None] = options.model or [None]
    choices = [task.select(None, name, offline=options.offline) for name in named]
    methods = dict(baselines)
    for choice in choices:
        for setting in settings:
            run = Run(choice, setting)
            benchmark.check(run)
            name = benchmark.method_name(run)
            if name in methods and choice.named is not None:
                raise UsageError(f"methods of one name cannot be told apart: {name}")
            methods.setdefault(name, lambda y, condition, run=run: benchmark.restore(y, condition, run))
    with Reporter(messages) as reporter:
        evaluation = evaluate_methods(
            options.data,
            benchmark,
            methods,
            seed=seed,
            device=str(resolve_device(options.device)),
            max_pixels=options.max_pixels,
            notes=[choice.note for choice in choices if choice.note],
            progress=reporter.progress,
        )
    _show(evaluation, reporter)
    if options.json_file == STREAM:
        print(evaluation.to_json(), file=sys.stdout)
    elif options.json_file is not None:
        write_file(Path(options.json_file), f"{evaluation.to_json()}\n".encode(), overwrite=options.overwrite)
    if options.report is not None:
        write_report(evaluation, options.report, overwrite=options.overwrite)


def _check_files(options: EvalOptions) -> None:
    """Raise before any work for a folder without images, and for an output that could not be written."""
    from restorekit.image import check_output, show_path, supported_suffixes
    from restorekit.image.mri import SLICES_SUFFIX

    if options.report is not None and options.json_file == str(options.report):
        raise UsageError(f"--json and --report cannot share one file, {options.json_file}")
    for path in (options.report, None if options.json_file in (None, STREAM) else Path(str(options.json_file))):
        if path is not None:
            check_output(path, overwrite=options.overwrite)
    if not options.data.is_dir():
        raise DatasetError(f"{show_path(options.data)}: no such folder")
    if not any(path.suffix.lower() in {*supported_suffixes, SLICES_SUFFIX} for path in options.data.rglob("*")):
        known = ", ".join(sorted(supported_suffixes))
        raise DatasetError(f"{show_path(options.data)}: no images in it; known are {known}")


def _show(evaluation: Evaluation, reporter: Reporter) -> None:
    """Show the table, which models it is of, and the images that were left out."""
    if reporter.options.quiet:
        return
    reporter.console.print(_table(evaluation))
    for note in evaluation.notes:
        reporter.say(note)
    for skipped in evaluation.skipped:
        reporter.say(f"left out {skipped.image}: {skipped.reason}")


def _table(evaluation: Evaluation) -> Table:
    """Return a row a method: PSNR and SSIM under each condition, and speed over all of them."""
    from rich.table import Table

    table = Table(title=f"{evaluation.dataset}: {len(evaluation.images)} images, {evaluation.device}")
    table.add_column("method")
    for condition in evaluation.conditions:
        table.add_column(condition.label, justify="right")
    table.add_column("MP/s", justify="right")
    for method in evaluation.methods:
        results = [evaluation.result(method, condition) for condition in evaluation.conditions]
        figures = [f"{result.psnr:.2f} dB  {result.ssim:.4f}" for result in results]
        speed = evaluation.megapixels_per_second(method)
        table.add_row(method, *figures, "" if speed is None else f"{speed:.3g}")
    return table
