"""`restorekit eval demosaic`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.evaluation import EvalOptions, run_evaluation
from restorekit.cli.options import MessageOptions, command
from restorekit.cli.values import PATTERNS, parse_pattern

if TYPE_CHECKING:
    from restorekit.evaluate import Method
    from restorekit.inference.runner import RunSettings
    from restorekit.types import BayerPattern
    from restorekit.zoo.selection import ModelSelection

_BASELINES = ("bilinear", "malvar", "opencv", "menon")


@command
def eval_demosaic(
    options: EvalOptions,
    pattern: Annotated[
        list[str],
        typer.Option(
            "--pattern",
            metavar="|".join(PATTERNS),
            autocompletion=lambda: list(PATTERNS),
            help="Colours of the first 2x2 pixels, row by row; repeatable.",
        ),
    ],
    messages: MessageOptions,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="|".join(_BASELINES),
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well; repeatable. opencv and menon need the extra `baselines`.",
        ),
    ] = None,
) -> None:
    """Keep one colour a pixel of clean images, restore the others by each method, and compare: PSNR, SSIM and speed.

    No border is cropped. Grey images are left out. The table goes to standard error.
    """
    patterns = tuple(parse_pattern(name) for name in pattern)
    from restorekit.evaluate import BayerMosaic, demosaicker
    from restorekit.restore.demosaic import DemosaicArray

    def make_method(models: ModelSelection, settings: RunSettings) -> Method[BayerPattern]:
        return DemosaicArray(models, settings)

    baselines = [demosaicker(name) for name in against or []]
    run_evaluation(options, messages, BayerMosaic(patterns), baselines, make_method)
