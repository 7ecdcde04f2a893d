"""`restorekit eval`: how good and how fast the models are, beside what users know."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.options import MessageOptions, command
from restorekit.cli.values import AUTO, parse_settings, parse_simulated_sigma
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from restorekit.evaluate import Denoiser, Evaluation, Progress
    from restorekit.restore.engine import RunSettings

eval_app = typer.Typer(no_args_is_help=True, help="Measure models against the truth and against other methods.")

STDOUT = "-"
_BASELINES = ("noisy", "tv", "nlm", "bm3d")


@eval_app.callback()
def evaluate() -> None:
    """Measure models against the truth and against other methods."""


@eval_app.command("denoise")
@command
def eval_denoise(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="A folder of clean images.")],
    sigma: Annotated[
        list[str], typer.Option("--sigma", metavar="NUMBER", help="Noise level on the scale 0..255; repeatable.")
    ],
    messages: MessageOptions,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            help="A model to measure; repeatable (default: the default models, by colour or grey).",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="noisy|tv|nlm|bm3d",
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well; repeatable. bm3d needs the extra `baselines`, "
            "whose licence is for non-commercial use.",
        ),
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            "--quality",
            metavar="fast|balanced|best",
            autocompletion=lambda: ["fast", "balanced", "best"],
            help="How densely patches are restored; repeatable (default: balanced).",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.")] = AUTO,
    tile: Annotated[str, typer.Option("--tile", metavar="auto|N", help="Side of a tile in pixels.")] = AUTO,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the noise.")] = 0,
    max_pixels: Annotated[
        int | None, typer.Option("--max-pixels", metavar="N", min=1, help="Read images of up to N pixels.")
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON; - for standard output.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with tables and crops.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files of --json and --report.")] = False,
) -> None:
    """Add seeded noise to clean images, remove it by each method, and compare: PSNR, SSIM and speed.

    The noise is neither clipped nor rounded, as in the literature. The table goes to standard error.
    """
    levels = [parse_simulated_sigma(level) for level in sigma]
    from restorekit.evaluate import evaluate_denoise, write_report
    from restorekit.image import check_output, write_file
    from restorekit.restore.engine import resolve_device

    if report is not None and json_file == str(report):
        raise UsageError(f"--json and --report cannot share one file, {json_file}")
    for path in (report, None if json_file in (None, STDOUT) else Path(str(json_file))):
        if path is not None:
            check_output(path, overwrite=overwrite)
    settings = [parse_settings(level, device, tile) for level in quality or ["balanced"]]
    used_device = str(resolve_device(device))
    methods = _methods(model or [None], against or [], settings, levels, offline=offline)
    with EvaluationReporter(messages) as reporter:
        evaluation = evaluate_denoise(
            data,
            methods,
            levels,
            seed=seed,
            device=used_device,
            max_pixels=max_pixels,
            progress=reporter.report,
        )
    reporter.show(evaluation)
    if json_file == STDOUT:
        print(evaluation.to_json(), file=sys.stdout)
    elif json_file is not None:
        write_file(Path(json_file), f"{evaluation.to_json()}\n".encode(), overwrite=overwrite)
    if report is not None:
        write_report(evaluation, report, overwrite=overwrite)


def _methods(
    models: list[str] | list[None],
    baselines: list[str],
    settings: list[RunSettings],
    levels: list[float],
    *,
    offline: bool,
) -> list[Denoiser]:
    from restorekit.evaluate import baseline
    from restorekit.restore.denoise import DenoiseArray, ModelChoice

    methods: list[Denoiser] = [baseline(name) for name in baselines]
    for name in models:
        choice = ModelChoice(name, offline=offline)
        for level in levels:
            choice.check_sigma(level)
        methods += [DenoiseArray(choice, setting) for setting in settings]
    return methods


class EvaluationReporter:
    """A progress bar on a terminal, and the table at the end."""

    def __init__(self, messages: MessageOptions) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        from restorekit.cli.console import make_console

        self._quiet = messages.quiet
        self._console = make_console(stderr=True)
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

    def show(self, evaluation: Evaluation) -> None:
        """The table, and what was left out."""
        if self._quiet:
            return
        self._console.print(_table(evaluation))
        for skipped in evaluation.skipped:
            self._console.print(f"left out {skipped.image}: {skipped.reason}", soft_wrap=True)


def _table(evaluation: Evaluation) -> Table:
    """A row a method: PSNR and SSIM at each noise level, and speed over all of them."""
    from rich.table import Table

    table = Table(title=f"{evaluation.dataset}: {len(evaluation.images)} images, {evaluation.device}")
    table.add_column("method")
    for sigma in evaluation.sigmas:
        table.add_column(f"sigma {255 * sigma:.4g}", justify="right")
    table.add_column("MP/s", justify="right")
    for method in evaluation.methods:
        results = [evaluation.result(method, sigma) for sigma in evaluation.sigmas]
        figures = [f"{result.psnr:.2f} dB  {result.ssim:.4f}" for result in results]
        seconds = sum(result.seconds for result in results)
        megapixels = sum(score.megapixels for result in results for score in result.scores)
        speed = "" if method == "noisy" else f"{megapixels / max(seconds, 1e-9):.3g}"
        table.add_row(method, *figures, speed)
    return table
