"""`restorekit eval superres`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.evaluation import EvalOptions, run_evaluation
from restorekit.cli.options import MessageOptions, command

if TYPE_CHECKING:
    from restorekit.inference.runner import RunSettings
    from restorekit.restore.superres import SuperresArray
    from restorekit.zoo.selection import ModelSelection

_BASELINES = ("bicubic",)


@command
def eval_superres(
    options: EvalOptions,
    scale: Annotated[
        list[int], typer.Option("--scale", metavar="2|3|4", min=2, max=4, help="How many times smaller; repeatable.")
    ],
    messages: MessageOptions,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="bicubic",
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well: bicubic interpolation.",
        ),
    ] = None,
) -> None:
    """Make clean images small, enlarge them by each method, and compare: PSNR on all channels, SSIM and speed.

    Sides are cut to multiples of 12. The table goes to standard error.
    """
    from restorekit.evaluate import BicubicDownsampling, enlarger
    from restorekit.restore.superres import SuperresArray, superres_plan

    baselines = [enlarger(name) for name in against or []]

    def make_method(models: ModelSelection, settings: RunSettings) -> SuperresArray:
        for each in scale:
            for model in models.candidates(each):
                superres_plan(model, each)
        return SuperresArray(models, settings)

    run_evaluation(options, messages, BicubicDownsampling(tuple(scale)), baselines, make_method)
