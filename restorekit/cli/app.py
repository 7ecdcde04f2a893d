"""The application: every command under its name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from restorekit._version import __version__
from restorekit.cli.cs_mri import cs_mri
from restorekit.cli.deblock import deblock
from restorekit.cli.deblur import deblur
from restorekit.cli.degrade import degrade_app
from restorekit.cli.demosaic import demosaic
from restorekit.cli.denoise import denoise
from restorekit.cli.errors import reported
from restorekit.cli.evaluate import eval_app
from restorekit.cli.models import models_app
from restorekit.cli.superres import superres
from restorekit.cli.train import train

app = typer.Typer(
    name="restorekit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("denoise")(denoise)
app.command("demosaic")(demosaic)
app.command("deblock")(deblock)
app.command("deblur")(deblur)
app.command("superres")(superres)
app.command("cs-mri")(cs_mri)
app.add_typer(degrade_app, name="degrade")
app.add_typer(models_app, name="models")
app.add_typer(eval_app, name="eval")
app.command("train")(train)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"restorekit {__version__}")
        raise typer.Exit


@app.callback()
def restorekit(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, metavar="", help="Show the version and exit."),
    ] = False,
) -> None:
    """Image restoration with small, readable, unrolled networks.

    Exit codes: 0 done; 1 some inputs failed, the others are done; 2 wrong usage; 130 interrupted; 143 terminated.
    Messages go to standard error; standard output carries images or JSON only.
    """


def run() -> int:
    """Do what the command line says; the exit code."""
    try:
        with reported(verbose=False):
            # Standalone, typer would show errors of usage in a box.
            code = app(prog_name="restorekit", standalone_mode=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    return int(code or 0)
