"""`restorekit demosaic`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.explanation import check_explanation, explained
from restorekit.cli.images import run_on_files
from restorekit.cli.options import ExplainOptions, FileOptions, MessageOptions, ModelOptions, command
from restorekit.cli.values import PATTERNS, parse_pattern, parse_settings
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation


@command
def demosaic(
    files: FileOptions,
    model: ModelOptions,
    explanation: ExplainOptions,
    messages: MessageOptions,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern",
            metavar="|".join(PATTERNS),
            autocompletion=lambda: list(PATTERNS),
            help="Colours of the mosaic's first 2x2 pixels, row by row; RAW files tell it themselves.",
        ),
    ] = None,
) -> None:
    """Make colour images of mosaics: one-channel images of any depth, or RAW files of cameras.

    IMG.png becomes IMG_demosaiced.png beside it, a RAW file a TIFF file of 16 bits in sRGB colours. Without --model it
    is the model that measures best, or with --explain the best one that has atoms to show. RAW files need the extra
    `raw`.
    """
    check_explanation(explanation, files)
    known = None if pattern is None else parse_pattern(pattern)
    if known is None:
        _check_raw(files.inputs)

    def make_operation() -> Operation:
        from restorekit.restore.demosaic import TASK, Demosaic
        from restorekit.zoo.selection import ModelSelection

        settings = parse_settings(model.quality, model.device, model.tile)
        models = ModelSelection(TASK, model.model, offline=model.offline, explained=explanation.explain is not None)
        return explained(Demosaic(known, models, settings), explanation, files)

    run_on_files(
        files,
        messages,
        make_operation,
        participle="demosaiced",
        written_as={"jpeg": "png"},
        camera_raw=True,
        channels=3,
    )


def _check_raw(inputs: list[str]) -> None:
    """Raise before any work for an input that by its name is no RAW file; folders and pipes may hold some."""
    from restorekit.image import raw_suffixes, show_path, supported_suffixes

    for path in map(Path, inputs):
        suffix = path.suffix.lower()
        if suffix in supported_suffixes and suffix not in raw_suffixes and not path.is_dir():
            raise UsageError(f"{show_path(path)}: name the mosaic's pattern, as in --pattern rggb")
