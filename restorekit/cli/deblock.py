"""`restorekit deblock`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.explanation import check_explanation, explained
from restorekit.cli.images import run_on_files
from restorekit.cli.options import ExplainOptions, FileOptions, MessageOptions, ModelOptions, command
from restorekit.cli.values import parse_settings

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation


@command
def deblock(
    files: FileOptions,
    model: ModelOptions,
    explanation: ExplainOptions,
    messages: MessageOptions,
    quality_factor: Annotated[
        int | None,
        typer.Option(
            "--quality-factor",
            metavar="1..100",
            min=1,
            max=100,
            help="Quality factor of the compression (default: as each JPEG's own tables say). Name it for a file that "
            "was a JPEG once, or was compressed twice.",
        ),
    ] = None,
) -> None:
    """Remove what JPEG compression did to images: blocks, ringing, washed-out colour.

    IMG.jpg becomes IMG_deblocked.png beside it, so that it is not compressed again; -o names another format. A folder
    becomes FOLDER_deblocked/ with the same tree in it.
    """
    check_explanation(explanation, files)

    def make_operation() -> Operation:
        from restorekit.restore.deblock import TASK, Deblock
        from restorekit.zoo.selection import ModelSelection

        settings = parse_settings(model.quality, model.device, model.tile)
        models = ModelSelection(TASK, model.model, offline=model.offline, explained=explanation.explain is not None)
        return explained(Deblock(quality_factor, models, settings), explanation, files)

    run_on_files(files, messages, make_operation, participle="deblocked", written_as={"jpeg": "png"})
