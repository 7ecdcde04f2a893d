"""`restorekit eval deblur`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.deblur import KERNEL, KERNEL_HELP
from restorekit.cli.evaluation import EvalOptions, run_evaluation
from restorekit.cli.options import MessageOptions, NoiseSeed, command
from restorekit.cli.values import parse_noise

if TYPE_CHECKING:
    from restorekit.inference.runner import RunSettings
    from restorekit.restore.deblur import DeblurArray
    from restorekit.zoo.selection import ModelSelection

_BASELINES = ("blurred", "wiener", "tv", "richardson-lucy", "unsupervised-wiener")


@command
def eval_deblur(
    options: EvalOptions,
    messages: MessageOptions,
    kernel: Annotated[str, typer.Option("--kernel", metavar=KERNEL, help=KERNEL_HELP)] = "gaussian:2",
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise",
            metavar="NUMBER",
            help="Standard deviation of the noise on the scale 0..255; repeatable (default: 2.55).",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="|".join(_BASELINES),
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well; repeatable. blurred is the untouched input.",
        ),
    ] = None,
    seed: NoiseSeed = 0,
) -> None:
    """Blur clean images circularly, add noise, deblur them by each method, and compare: PSNR, SSIM and speed.

    The table goes to standard error.
    """
    levels = tuple(parse_noise(level) for level in noise or ["2.55"])
    from restorekit.evaluate import GaussianBlur, deblur_baseline
    from restorekit.inference.plug_and_play import check_noise
    from restorekit.restore.deblur import DeblurArray
    from restorekit.restore.kernel import parse_kernel

    taps = parse_kernel(kernel)
    baselines = [deblur_baseline(name, taps) for name in against or []]

    def make_method(models: ModelSelection, settings: RunSettings) -> DeblurArray:
        for level in levels:
            check_noise(level, models)
        return DeblurArray(models, settings, taps)

    degradation = GaussianBlur(levels, taps, kernel)
    run_evaluation(options, messages, degradation, baselines, make_method, seed=seed)
