"""`restorekit denoise`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.explanation import check_explanation, explained
from restorekit.cli.images import run_on_files
from restorekit.cli.options import ExplainOptions, FileOptions, MessageOptions, ModelOptions, command
from restorekit.cli.values import AUTO, parse_settings, parse_sigma

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation


@command
def denoise(
    files: FileOptions,
    sigma: Annotated[
        str,
        typer.Option(
            "--sigma",
            metavar="NUMBER|auto",
            help="Standard deviation of the noise on the scale 0..255, whatever the file's depth; "
            "auto estimates it on each image.",
        ),
    ],
    model: ModelOptions,
    explanation: ExplainOptions,
    messages: MessageOptions,
) -> None:
    """Remove Gaussian noise from images.

    IMG.png becomes IMG_denoised.png beside it, a folder becomes FOLDER_denoised/ with the same tree in it. Without
    --model each image has the model that measures best on its colours and noise level, or with --explain the best one
    that has atoms to show.
    """
    check_explanation(explanation, files)
    level = None if sigma == AUTO else parse_sigma(sigma)

    def make_operation() -> Operation:
        from restorekit.restore.denoise import TASK, Denoise
        from restorekit.zoo.selection import ModelSelection

        settings = parse_settings(model.quality, model.device, model.tile)
        models = ModelSelection(TASK, model.model, offline=model.offline, explained=explanation.explain is not None)
        operation = Denoise(level, models, settings)
        return explained(operation, explanation, files)

    run_on_files(files, messages, make_operation, participle="denoised")
