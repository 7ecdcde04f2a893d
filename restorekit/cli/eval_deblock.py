"""`restorekit eval deblock`."""

from __future__ import annotations

from typing import Annotated

import typer

from restorekit.cli.evaluation import EvalOptions, run_evaluation
from restorekit.cli.options import MessageOptions, command

_BASELINES = ("jpeg", "tv")


@command
def eval_deblock(
    options: EvalOptions,
    quality_factor: Annotated[
        list[int],
        typer.Option(
            "--quality-factor", metavar="1..100", min=1, max=100, help="JPEG quality to compress with; repeatable."
        ),
    ],
    messages: MessageOptions,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="jpeg|tv",
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well; repeatable. jpeg is the untouched input.",
        ),
    ] = None,
) -> None:
    """Compress clean images as JPEG, deblock them by each method, and compare luma: PSNR, SSIM and speed.

    Only luma is measured, as in the literature. The table goes to standard error.
    """
    from restorekit.evaluate import JpegCompression, deblock_baseline
    from restorekit.restore.deblock import DeblockArray

    baselines = [deblock_baseline(name) for name in against or []]
    run_evaluation(options, messages, JpegCompression(tuple(quality_factor)), baselines, DeblockArray)
