"""`--explain`: a page on how one picture was restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from restorekit.cli.options import ExplainOptions, FileOptions
from restorekit.cli.values import parse_pixel
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.restore.batch import Operation
    from restorekit.restore.case import Examinable


def check_explanation(explanation: ExplainOptions, files: FileOptions) -> None:
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
    from restorekit.explain import check_apart, check_folder

    output = None if files.output in (None, "-") else Path(files.output)
    pictures = [Path(files.inputs[0]), explanation.reference, output]
    check_apart(explanation.explain, [picture for picture in pictures if picture is not None])
    check_folder(explanation.explain, overwrite=files.overwrite)


def explained(operation: Examinable, explanation: ExplainOptions, files: FileOptions) -> Operation:
    """The operation, with a page on how it went if that is asked for."""
    if explanation.explain is None:
        return operation
    from restorekit.explain import Explained
    from restorekit.image import read_picture, show_path

    reference = explanation.reference
    return Explained(
        operation,
        show_path(Path(Path(files.inputs[0]).name)),
        explanation.explain,
        files.overwrite,
        None if explanation.at is None else parse_pixel(explanation.at),
        None if reference is None else read_picture(reference, max_pixels=files.max_pixels),
    )
