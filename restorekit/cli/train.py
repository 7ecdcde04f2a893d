"""`restorekit train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli import INTERRUPTED
from restorekit.cli.options import MessageOptions, command
from restorekit.cli.output import Reporter
from restorekit.tasks.prelude import imaging
from restorekit.types import Option

if TYPE_CHECKING:
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
    data: Annotated[Path, Option("A folder of images; some are set aside for validation.", "DIR")],
    out: Annotated[Path, Option("The folder for checkpoints, log, curves and weights.", "RUN_DIR")],
    messages: MessageOptions,
    overrides: Annotated[
        list[str] | None,
        Option("Set a key of the recipe, such as optimiser.steps=2000; repeatable.", "KEY=VALUE", ("--set",)),
    ] = None,
    resume: Annotated[bool, Option("Continue from the checkpoint in RUN_DIR, if there is one.")] = False,
    max_minutes: Annotated[float | None, Option("Stop after N minutes, with a checkpoint.", "N", low=0)] = None,
    device: Annotated[str, Option("Where to compute.", "auto|cpu|cuda|cuda:N")] = "auto",
    workers: Annotated[
        int | None, Option("Processes that prepare batches (default: up to 8 with a GPU, else 0).", "N", low=0)
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


class TrainingReporter(Reporter):
    """A progress line on a terminal (step, PSNR, rate, time left); elsewhere plain lines."""

    def __init__(self, messages: MessageOptions) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

        columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"))
        super().__init__(messages, columns=columns)
        self._has_reported = False

    def report(self, state: TrainingReport) -> None:
        """Show where the run stands."""
        self._has_reported = True
        if state.message:
            self.say(state.message)
        elif self.console.is_terminal:
            self.bar.update(self.task, completed=state.step, total=state.steps, description=state_text(state))
        elif state.step % _PLAIN_LINES == 0:
            self.say(f"step {state.step}/{state.steps}  {state_text(state)}")

    def report_end(self, result: TrainingResult) -> None:
        """Print how the session ended, if this is the process that reports."""
        if not self._has_reported:
            return
        end = f"finished at step {result.step}"
        if not result.finished:
            end = f"stopped at step {result.step}, go on with --resume"
        self.say(f"{end}: {imaging.show_path(result.weights)} ({result.best_psnr:.3f} dB)")


def state_text(state: TrainingReport) -> str:
    """Return PSNR, learning rate (a factor), speed and the time left in a few words."""
    text = f"{state.psnr:.2f} dB  rate {state.rate:.3g}"
    if state.steps_per_second <= 0:
        return text
    left = round((state.steps - state.step) / state.steps_per_second)
    hours, minutes = divmod(left // 60, 60)
    return f"{text}  {state.steps_per_second:.2f} steps/s  {hours}:{minutes:02}:{left % 60:02} left"
