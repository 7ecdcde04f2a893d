"""Kinds of files: what inputs and outputs are called, and whether an output is whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from restorekit.errors import UnsupportedImageError
from restorekit.image import decodes, file_format_of, raw_suffixes, supported_suffixes
from restorekit.image.formats import FORMATS


class FileKind(Protocol):
    """What `plan_batch` and a batch that is resumed need to know of the files they deal with."""

    @property
    def suffixes(self) -> frozenset[str]:
        """Lower-case suffixes of the files a folder is searched for."""
        ...

    def output_name(self, source: Path) -> Path:
        """The input's name, with the suffix of what is written for it where none is given."""
        ...

    def check_output(self, path: Path) -> None:
        """Raise UnsupportedImageError for a name under which nothing can be written."""
        ...

    def is_complete(self, output: Path) -> bool:
        """Whether a file that is there is a whole output. Raises UnsupportedImageError where that cannot be said."""
        ...


@dataclass(frozen=True)
class PictureFiles:
    """Pictures, from pictures.

    written_as: formats to write another format for, where the output's name is not given: {"jpeg": "png"}.
    camera_raw: whether RAW files are inputs too. renamed: suffixes of a format that say how many channels there are,
    and what they become where the output has another number: {".pgm": ".ppm"}.
    """

    written_as: Mapping[str, str] = field(default_factory=dict)
    camera_raw: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def suffixes(self) -> frozenset[str]:
        """Of pictures, and of RAW files if they are read."""
        return supported_suffixes | raw_suffixes if self.camera_raw else supported_suffixes

    def output_name(self, source: Path) -> Path:
        """The same format where it can be: PNG for one that is not written, TIFF for RAW files."""
        if source.suffix.lower() in raw_suffixes:
            return Path(f"{source.stem}.tiff")
        with suppress(UnsupportedImageError):
            found = file_format_of(source)
            wanted = self.written_as.get(found, found)
            if FORMATS[wanted].depths:
                kept = self.renamed.get(source.suffix.lower(), source.suffix)
                return Path(source.stem + (kept if wanted == found else FORMATS[wanted].suffixes[0]))
        return Path(f"{source.stem}.png")

    def check_output(self, path: Path) -> None:
        """A picture's suffix, of a format that is written."""
        file_format = file_format_of(path)
        if not FORMATS[file_format].depths:
            raise UnsupportedImageError(f"{file_format.upper()} files are not written; name a .png or .tif file")

    def is_complete(self, output: Path) -> bool:
        """Whether it decodes."""
        # Its size is no reason to distrust an output, so the bomb limit does not apply.
        return decodes(output, max_pixels=2**62)
