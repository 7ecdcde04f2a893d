"""The application: every command under its name."""

import sys
from typing import Annotated

import typer

from restorekit._version import __version__
from restorekit.cli.evaluate import eval_command
from restorekit.cli.models import models_app
from restorekit.cli.output import reported
from restorekit.cli.restore import degrade_command, restore_command
from restorekit.cli.train import train
from restorekit.tasks import all_tasks


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"restorekit {__version__}")
        raise typer.Exit


def _restorekit(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, metavar="", help="Show the version and exit."),
    ] = False,
) -> None:
    """Image restoration with small, readable, unrolled networks.

    Exit codes: 0 done; 1 some inputs failed, the others are done; 2 wrong usage; 130 interrupted; 143 terminated.
    Messages go to standard error; standard output carries images or JSON only.
    """


def make_app() -> typer.Typer:
    """Return the application with the commands of every task."""
    app = typer.Typer(
        name="restorekit",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_restorekit)
    degrade = typer.Typer(no_args_is_help=True, help="Make images worse on purpose, for tests and demonstrations.")
    evaluate = typer.Typer(no_args_is_help=True, help="Measure models against the truth and against other methods.")
    for task in all_tasks():
        app.command(task.name)(restore_command(task))
        for degradation in task.degradations:
            degrade.command(degradation.name)(degrade_command(degradation))
        if task.benchmark is not None:
            evaluate.command(task.name)(eval_command(task, task.benchmark))
    app.add_typer(degrade, name="degrade")
    app.add_typer(models_app, name="models")
    app.add_typer(evaluate, name="eval")
    app.command("train")(train)
    return app


def run() -> int:
    """Run the command line; return the exit code."""
    try:
        with reported(verbose=False):
            # Standalone, typer would show errors of usage in a box.
            code = make_app()(prog_name="restorekit", standalone_mode=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    return int(code or 0)
