"""`restorekit denoise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files
from restorekit.cli.options import ExplainOptions, FileOptions, MessageOptions, ModelOptions, command
from restorekit.cli.values import AUTO, parse_pixel, parse_settings, parse_sigma
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation
    from restorekit.restore.denoise import Denoise


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

    IMG.png becomes IMG_denoised.png beside it, a folder becomes FOLDER_denoised/ with the same tree in it.
    """
    _check_explanation(explanation, files)
    level = None if sigma == AUTO else parse_sigma(sigma)

    def make_operation() -> Operation:
        from restorekit.restore.choice import ModelChoice
        from restorekit.restore.denoise import TASK, Denoise

        settings = parse_settings(model.quality, model.device, model.tile)
        operation = Denoise(level, ModelChoice(TASK, model.model, offline=model.offline), settings)
        return operation if explanation.explain is None else _explained(operation, explanation, files)

    run_on_files(files, messages, make_operation, participle="denoised")


def _check_explanation(explanation: ExplainOptions, files: FileOptions) -> None:
    """Raise before any work for options that no picture could satisfy."""
    if explanation.explain is None:
        if explanation.at is not None or explanation.reference is not None:
            raise UsageError("--at and --reference are for an explanation; name its folder with --explain DIR")
        return
    if len(files.inputs) != 1 or files.inputs[0] == "-" or Path(files.inputs[0]).is_dir():
        raise UsageError("--explain is for one picture in a file; name exactly one as input")
    if files.skip_existing:
        raise UsageError("--explain and --skip-existing exclude each other")
    if explanation.at is not None:
        parse_pixel(explanation.at)
    from restorekit.explain import check_folder

    check_folder(explanation.explain, overwrite=files.overwrite)


def _explained(denoise: Denoise, explanation: ExplainOptions, files: FileOptions) -> Operation:
    from restorekit.explain import ExplainedDenoise
    from restorekit.image import read_picture, show_path

    assert explanation.explain is not None
    reference = explanation.reference
    return ExplainedDenoise(
        denoise,
        show_path(Path(Path(files.inputs[0]).name)),
        explanation.explain,
        files.overwrite,
        None if explanation.at is None else parse_pixel(explanation.at),
        None if reference is None else read_picture(reference, max_pixels=files.max_pixels),
    )
