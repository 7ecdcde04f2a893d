"""`restorekit deblur`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files
from restorekit.cli.iterations import IterationOptions, draw_trajectory, start_trajectory
from restorekit.cli.options import FileOptions, MessageOptions, ModelOptions, NoiseLevel, command
from restorekit.cli.values import AUTO, BOUNDARIES, parse_boundary, parse_noise, parse_settings

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation

KERNEL = "gaussian:SIGMA|motion:LENGTH,ANGLE|FILE"
KERNEL_HELP = (
    "What a point became: a Gaussian of so many pixels, a straight motion (degrees anticlockwise from the right), "
    "or a grey picture or .npy array of odd sides, which is made to sum to 1."
)


@command
def deblur(
    files: FileOptions,
    kernel: Annotated[str, typer.Option("--kernel", metavar=KERNEL, help=KERNEL_HELP)],
    model: ModelOptions,
    iterations: IterationOptions,
    messages: MessageOptions,
    noise: NoiseLevel = AUTO,
    boundary: Annotated[
        str,
        typer.Option(
            "--boundary",
            metavar="|".join(BOUNDARIES),
            autocompletion=lambda: list(BOUNDARIES),
            help="What lies beyond the edges: open, the scene goes on; circular, the image repeats.",
        ),
    ] = BOUNDARIES[0],
) -> None:
    """Sharpen images whose blur is known, by a model trained for it or with a denoiser as the judge of what is likely.

    IMG.png becomes IMG_deblurred.png beside it, a folder becomes FOLDER_deblurred/ with the same tree in it.
    """
    level = None if noise == AUTO else parse_noise(noise)
    edges = parse_boundary(boundary)
    trajectory = start_trajectory(iterations, files)

    def make_operation() -> Operation:
        from restorekit.inference.plug_and_play import models_for
        from restorekit.restore.deblur import TASK, Deblur
        from restorekit.restore.kernel import parse_kernel

        settings = parse_settings(model.quality, model.device, model.tile)
        models = models_for(TASK, model.model, iterations.iterations, level, offline=model.offline)
        return Deblur(parse_kernel(kernel), level, models, settings, edges, iterations.iterations, trajectory)

    run_on_files(files, messages, make_operation, participle="deblurred")
    draw_trajectory(trajectory, iterations, files)
