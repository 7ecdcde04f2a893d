"""Kinds of files: what inputs and outputs are called, and whether an output is whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from restorekit.errors import UnsupportedImageError
from restorekit.image import Picture, decodes, file_format_of, raw_suffixes, supported_suffixes
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
    camera_raw: whether RAW files are inputs too. channels: how many outputs have, 1 or 3, where that is not what inputs
    have; neither alpha nor an ICC profile goes along then. None: as many.
    """

    written_as: Mapping[str, str] = field(default_factory=dict)
    camera_raw: bool = False
    channels: int | None = None

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
                suffix = self._kept(source.suffix) if wanted == found else FORMATS[wanted].suffixes[0]
                return Path(source.stem + suffix)
        return Path(f"{source.stem}.png")

    def _kept(self, suffix: str) -> str:
        """The suffix, or that of its sibling which says how many channels there are."""
        of_pnm = {1: ".pgm", 3: ".ppm"}
        return of_pnm.get(self.channels or 0, suffix) if suffix.lower() in of_pnm.values() else suffix

    def to_hold(self, picture: Picture) -> Picture:
        """What of an input the format of its output has to hold."""
        if self.channels is None:
            return picture
        return replace(picture, alpha=None, metadata=replace(picture.metadata, icc=b""))

    def check_output(self, path: Path) -> None:
        """A picture's suffix, of a format that is written and has so many channels."""
        file_format = file_format_of(path)
        if not FORMATS[file_format].depths:
            raise UnsupportedImageError(f"{file_format.upper()} files are not written; name a .png or .tif file")
        if file_format == "webp" and self.channels == 1:
            raise UnsupportedImageError("WebP has no pictures of one channel; name a .png or .tif file")

    def is_complete(self, output: Path) -> bool:
        """Whether it decodes."""
        # Its size is no reason to distrust an output, so the bomb limit does not apply.
        return decodes(output, max_pixels=2**62)
