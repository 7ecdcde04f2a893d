"""`restorekit train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli import INTERRUPTED
from restorekit.cli.options import MessageOptions, command

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from restorekit.train import TrainingReport, TrainingResult

_PLAIN_LINES = 100
"""Without a terminal, the number of steps between two progress lines."""


def _complete_recipe() -> list[str]:
    from restorekit.train import recipe_names

    return recipe_names()


@command
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe of the package, such as denoise-gray-sc, or a TOML file.",
            autocompletion=_complete_recipe,
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="A folder of images; some are set aside for validation.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="RUN_DIR", help="The folder for checkpoints, log, curves and weights.")
    ],
    messages: MessageOptions,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a key of the recipe, such as optimiser.steps=2000; repeatable.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", metavar="", help="Continue from the checkpoint in RUN_DIR, if there is one.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", metavar="N", min=0, help="Stop after N minutes, with a checkpoint."),
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=0,
            help="Processes that prepare batches (default: up to 8 with a GPU, else 0).",
        ),
    ] = None,
) -> None:
    """Train a model on a folder of images; with torchrun, on several GPUs.

    Ctrl-C (SIGINT) or SIGTERM ends a run after the current step, with a checkpoint to --resume from and exit code 130.
    """
    from restorekit.train import load_recipe, run

    with TrainingReporter(messages) as reporter:
        result = run(
            load_recipe(recipe, overrides or ()),
            data,
            out,
            resume=resume,
            max_minutes=max_minutes,
            device=device,
            workers=workers,
            report=reporter.report,
        )
        reporter.report_end(result)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)


class TrainingReporter:
    """A progress line on a terminal (step, PSNR, rate, time left); elsewhere plain lines."""

    def __init__(self, messages: MessageOptions) -> None:
        from restorekit.cli.output import make_console

        self._quiet = messages.quiet
        self._has_reported = False
        self._console = make_console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> TrainingReporter:
        if self._console.is_terminal and not self._quiet:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line of its own, unless --quiet."""
        if not self._quiet:
            self._console.print(text, soft_wrap=True)

    def report(self, state: TrainingReport) -> None:
        """Show where the run stands."""
        self._has_reported = True
        if state.message:
            self.say(state.message)
            return
        text = state_text(state)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=state.step, total=state.steps, description=text)
        elif state.step % _PLAIN_LINES == 0:
            self.say(f"step {state.step}/{state.steps}  {text}")

    def report_end(self, result: TrainingResult) -> None:
        """Print how the session ended, if this is the process that reports."""
        from restorekit.image import show_path

        if not self._has_reported:
            return
        end = f"finished at step {result.step}"
        if not result.finished:
            end = f"stopped at step {result.step}, go on with --resume"
        self.say(f"{end}: {show_path(result.weights)} ({result.best_psnr:.3f} dB)")


def state_text(state: TrainingReport) -> str:
    """Return PSNR, learning rate (a factor), speed and the time left in a few words."""
    text = f"{state.psnr:.2f} dB  rate {state.rate:.3g}"
    if state.steps_per_second <= 0:
        return text
    left = round((state.steps - state.step) / state.steps_per_second)
    hours, minutes = divmod(left // 60, 60)
    return f"{text}  {state.steps_per_second:.2f} steps/s  {hours}:{minutes:02}:{left % 60:02} left"
