"""`restorekit eval`: how good and how fast the models are, beside what users know."""

from __future__ import annotations

import typer

from restorekit.cli.eval_cs_mri import eval_cs_mri
from restorekit.cli.eval_deblock import eval_deblock
from restorekit.cli.eval_deblur import eval_deblur
from restorekit.cli.eval_demosaic import eval_demosaic
from restorekit.cli.eval_denoise import eval_denoise
from restorekit.cli.eval_superres import eval_superres

eval_app = typer.Typer(no_args_is_help=True, help="Measure models against the truth and against other methods.")


@eval_app.callback()
def evaluate() -> None:
    """Measure models against the truth and against other methods."""


eval_app.command("denoise")(eval_denoise)
eval_app.command("demosaic")(eval_demosaic)
eval_app.command("deblock")(eval_deblock)
eval_app.command("deblur")(eval_deblur)
eval_app.command("superres")(eval_superres)
eval_app.command("cs-mri")(eval_cs_mri)
