"""`restorekit superres`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files
from restorekit.cli.iterations import IterationOptions, draw_trajectory, start_trajectory
from restorekit.cli.options import FileOptions, MessageOptions, ModelOptions, NoiseLevel, command
from restorekit.cli.values import AUTO, parse_noise, parse_settings

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation


@command
def superres(
    files: FileOptions,
    scale: Annotated[
        int, typer.Option("--scale", metavar="2|3|4", min=2, max=4, help="How many times as high and wide.")
    ],
    model: ModelOptions,
    iterations: IterationOptions,
    messages: MessageOptions,
    noise: NoiseLevel = "0",
) -> None:
    """Enlarge images, by a model trained for it or with a denoiser as the judge of what is likely.

    IMG.png becomes IMG_enlarged.png beside it, a folder becomes FOLDER_enlarged/ with the same tree in it. Shrunk again
    by bicubic interpolation without antialiasing, the result is the image that was given. Without --model it is the one
    that measures best at the scale, or a denoiser if --iterations or noise above 1 is named.
    """
    level = None if noise == AUTO else parse_noise(noise)
    trajectory = start_trajectory(iterations, files)

    def make_operation() -> Operation:
        from restorekit.inference.plug_and_play import models_for
        from restorekit.restore.superres import TASK, Superres

        settings = parse_settings(model.quality, model.device, model.tile)
        models = models_for(TASK, model.model, iterations.iterations, level, scale, offline=model.offline)
        return Superres(scale, level, models, settings, iterations.iterations, trajectory)

    run_on_files(files, messages, make_operation, participle="enlarged")
    draw_trajectory(trajectory, iterations, files)
