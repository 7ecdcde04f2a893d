"""A folder for an explanation: new, empty, or given up to be written over."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from restorekit.errors import OutputError
from restorekit.image import check_output, show_path, write_file


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError if there is something at the path that is no empty folder: to be asked before work starts."""
    try:
        if not overwrite and any(folder.iterdir()):
            raise OutputError(f"{show_path(folder)}: a folder with files in it; name a new one, or pass --overwrite")
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise OutputError(f"{show_path(folder)}: no folder, and in the way of one") from None
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be looked into ({error.strerror})") from error


def check_apart(folder: Path, pictures: Iterable[Path]) -> None:
    """Raise OutputError if a picture lies in the folder, where a file of the page might take its place."""
    place = os.path.realpath(folder)
    for picture in pictures:
        if place in (os.path.realpath(picture.parent), str(Path(os.path.realpath(picture)).parent)):
            raise OutputError(f"{show_path(folder)}: holds {show_path(picture)}; name a folder of the page's own")


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write the files, in their order, each whole or not at all. Raises OutputError, if it can before the first."""
    check_folder(folder, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be made a folder ({error.strerror})") from error
    for name in files:
        check_output(folder / name, overwrite=overwrite)
    for name, data in files.items():
        write_file(folder / name, data, overwrite=overwrite)
