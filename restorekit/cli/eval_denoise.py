"""`restorekit eval denoise`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.evaluation import EvalOptions, run_evaluation
from restorekit.cli.options import MessageOptions, NoiseSeed, command
from restorekit.cli.values import parse_simulated_sigma

if TYPE_CHECKING:
    from restorekit.evaluate import Method
    from restorekit.inference.runner import RunSettings
    from restorekit.zoo.selection import ModelSelection

_BASELINES = ("noisy", "tv", "nlm", "bm3d")


@command
def eval_denoise(
    options: EvalOptions,
    sigma: Annotated[
        list[str], typer.Option("--sigma", metavar="NUMBER", help="Noise level on the scale 0..255; repeatable.")
    ],
    messages: MessageOptions,
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
    seed: NoiseSeed = 0,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="Let models estimate the noise level of each image, as `denoise --sigma auto` does."
        ),
    ] = False,
) -> None:
    """Add seeded noise to clean images, remove it by each method, and compare: PSNR, SSIM and speed.

    The noise is neither clipped nor rounded, as in the literature. The table goes to standard error.
    """
    levels = tuple(parse_simulated_sigma(level) for level in sigma)
    from restorekit.evaluate import GaussianNoise, baseline
    from restorekit.restore.denoise import DenoiseArray, check_sigmas

    def make_method(models: ModelSelection, settings: RunSettings) -> Method[float]:
        check_sigmas(levels, models)
        return DenoiseArray(models, settings, blind)

    baselines = [baseline(name) for name in against or []]
    run_evaluation(options, messages, GaussianNoise(levels), baselines, make_method, seed=seed)
