"""Kinds of files that a batch reads and writes: pictures, and slices of MRI scans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ImageError, OutputError, UnsupportedImageError
from restorekit.image import (
    Picture,
    check_encodable,
    decodes,
    encode_picture,
    file_format_of,
    output_suffix_for,
    raw_suffixes,
    read_picture,
    show_path,
    supported_suffixes,
)
from restorekit.image.formats import FORMATS
from restorekit.image.mri import (
    KSPACE_SUFFIXES,
    check_slices,
    encode_scan,
    is_complete_scan,
    read_kspace,
    scan_format_of,
)
from restorekit.types import RunReport

Slices = NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Account(ABC):
    """How an output was made, for the user; None where there is no such thing.

    model: its name. parameters: names and values on the scale of users, such as ("sigma", 25.0) and ("pattern",
    "rggb"). report: of the network. notes: remarks. trace: the way of one picture through a network, where somebody
    wants to look at it.
    """

    model: str | None = None
    parameters: tuple[tuple[str, float | str], ...] = ()
    report: RunReport | None = None
    notes: tuple[str, ...] = ()
    trace: Any = None

    @property
    @abstractmethod
    def megapixels(self) -> float:
        """Of the output."""


@dataclass(frozen=True, eq=False)
class Restored(Account):
    """A picture that an operation made.

    jpeg: the picture to compress where the output is a JPEG, and the quality factor, so that an operation which
    compresses does so once; None writes `picture` at high quality.
    """

    picture: Picture
    jpeg: tuple[Picture, int] | None = None

    @property
    def megapixels(self) -> float:
        """Of the picture."""
        return float(self.picture.pixels.shape[0] * self.picture.pixels.shape[1]) / 1e6


@dataclass(frozen=True, eq=False)
class Scan(Account):
    """Slices that an operation made, [S, H, W]: images, or k-space with zero frequency in the middle."""

    slices: Slices

    @property
    def megapixels(self) -> float:
        """Of all slices."""
        return self.slices.size / 1e6


@dataclass(frozen=True, eq=False)
class Opened:
    """An input that was read.

    item: the picture or slices that the operation takes. file_format: of the output. target: its path, whose suffix may
    have changed; None for standard output. notes: remarks, of reading and on the suffix.
    """

    item: Any
    file_format: str
    target: Path | None
    notes: tuple[str, ...]
    renamed: bool = False


class FileKind(ABC):
    """The files of a command: which inputs a folder is searched for, how they are read, and how outputs are written."""

    suffixes: frozenset[str]

    @abstractmethod
    def output_name(self, source: Path) -> Path:
        """Return the name of the input with the suffix of its output."""

    @abstractmethod
    def check_output(self, path: Path) -> None:
        """Raise UnsupportedImageError for a name under which nothing can be written."""

    @abstractmethod
    def is_complete(self, output: Path) -> bool:
        """Return whether a file is a whole output. Raises UnsupportedImageError where nobody can say."""

    @abstractmethod
    def open(self, source: Path | bytes, target: Path | None, *, named: bool, taken: Callable[[Path], bool]) -> Opened:
        """Read an input.

        Args:
            source: its path, or the bytes of standard input.
            target: the path of its output, None for standard output.
            named: the user gave that path, so its suffix stays.
            taken: whether a path is an input or an output already; a path that it refuses counts as taken from then on.
        """

    @abstractmethod
    def encode(self, made: Any, file_format: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the bytes of an output, and remarks."""


@dataclass(frozen=True)
class PictureFiles(FileKind):
    """Pictures made of pictures.

    written_as: formats to write another format for, where the output is not named: {"jpeg": "png"}. camera_raw: whether
    RAW files are inputs too. channels: how many outputs have, 1 or 3, where inputs have another number; neither alpha
    nor an ICC profile goes along then. None: as many. max_pixels: None is Pillow's decompression-bomb limit.
    """

    written_as: Mapping[str, str] = field(default_factory=dict)
    camera_raw: bool = False
    channels: int | None = None
    max_pixels: int | None = None
    strip_metadata: bool = False

    @property
    def suffixes(self) -> frozenset[str]:  # type: ignore[override]
        """Those of pictures, and of RAW files if they are read."""
        return supported_suffixes | raw_suffixes if self.camera_raw else supported_suffixes

    def output_name(self, source: Path) -> Path:
        """Return the same format where it can be: PNG for one that is not written, TIFF for RAW files."""
        if source.suffix.lower() in raw_suffixes:
            return Path(f"{source.stem}.tiff")
        with suppress(UnsupportedImageError):
            found = file_format_of(source)
            wanted = self.written_as.get(found, found)
            if FORMATS[wanted].depths:
                return Path(
                    source.stem + (self._kept(source.suffix) if wanted == found else FORMATS[wanted].suffixes[0])
                )
        return Path(f"{source.stem}.png")

    def _kept(self, suffix: str) -> str:
        """Return the suffix, or that of its sibling which says how many channels there are."""
        of_pnm = {1: ".pgm", 3: ".ppm"}
        return of_pnm.get(self.channels or 0, suffix) if suffix.lower() in of_pnm.values() else suffix

    def check_output(self, path: Path) -> None:
        """Accept a suffix of a format that is written and has so many channels."""
        file_format = file_format_of(path)
        if not FORMATS[file_format].depths:
            raise UnsupportedImageError(f"{file_format.upper()} files are not written; name a .png or .tif file")
        if file_format == "webp" and self.channels == 1:
            raise UnsupportedImageError("WebP has no pictures of one channel; name a .png or .tif file")

    def is_complete(self, output: Path) -> bool:
        """Return whether it decodes; its size is no reason to distrust an output, so no limit applies."""
        return decodes(output, max_pixels=2**62)

    def open(self, source: Path | bytes, target: Path | None, *, named: bool, taken: Callable[[Path], bool]) -> Opened:
        """Read a picture, and find a format that can hold its output before the work is done."""
        picture = read_picture(source, max_pixels=self.max_pixels, camera_raw=self.camera_raw)
        if target is None:
            found = picture.metadata.file_format
            file_format = self.written_as.get(found, found)
        else:
            file_format = file_format_of(target)
        to_hold = picture
        if self.channels is not None:
            to_hold = replace(picture, alpha=None, metadata=replace(picture.metadata, icc=b""))
        try:
            check_encodable(to_hold, file_format, strip_metadata=self.strip_metadata)
        except UnsupportedImageError as error:
            return self._renamed(picture, to_hold, target, file_format, error, named=named, taken=taken)
        return Opened(picture, file_format, target, picture.notes)

    def _renamed(
        self,
        picture: Picture,
        to_hold: Picture,
        target: Path | None,
        file_format: str,
        error: UnsupportedImageError,
        *,
        named: bool,
        taken: Callable[[Path], bool],
    ) -> Opened:
        """Return the picture with another format, as the planned one cannot hold it; a name that was given stays."""
        if target is None:
            example = Path(f"stream{FORMATS[file_format].suffixes[0]}")
            file_format = file_format_of(example.with_suffix(output_suffix_for(to_hold, example)))
            return Opened(
                picture, file_format, None, (*picture.notes, f"written as {file_format.upper()}, for {error}")
            )
        if named:
            raise UnsupportedImageError(f"{show_path(target)}: {error}") from None
        target = target.with_suffix(output_suffix_for(to_hold, target))
        if taken(target):
            raise OutputError(f"{show_path(target)}: is an input, or another's output; name one with -o") from None
        note = f"written as {show_path(target)}, for {error}"
        return Opened(picture, file_format_of(target), target, (*picture.notes, note), renamed=True)

    def encode(self, made: Restored, file_format: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the file of a picture, a JPEG at the quality that the operation asks for."""
        picture, quality = made.picture, None
        if file_format == "jpeg" and made.jpeg is not None:
            picture, quality = made.jpeg
        data = encode_picture(picture, file_format, strip_metadata=self.strip_metadata, jpeg_quality=quality)
        return data, ()


@dataclass(frozen=True)
class ScanFiles(FileKind):
    """Slices made of k-space, or k-space made of pictures.

    pictures: whether inputs are pictures. suffix: of outputs that are not named. complex_valued: whether their phases
    must be kept, as .npy alone does. max_pixels: the limit on a picture or slice.
    """

    pictures: bool = False
    suffix: str = ".png"
    complex_valued: bool = False
    max_pixels: int | None = None

    @property
    def suffixes(self) -> frozenset[str]:  # type: ignore[override]
        """Those of pictures or of k-space."""
        return supported_suffixes if self.pictures else KSPACE_SUFFIXES

    def output_name(self, source: Path) -> Path:
        """Return the same name with another suffix."""
        return Path(f"{source.stem}{self.suffix}")

    def check_output(self, path: Path) -> None:
        """Accept one of `SCAN_SUFFIXES`."""
        if self.complex_valued and not path.name.lower().endswith(".npy"):
            raise UnsupportedImageError(f"k-space is complex, and is written as .npy, not as {path.suffix!r}")
        scan_format_of(path)

    def is_complete(self, output: Path) -> bool:
        """Return whether it can be read again."""
        return is_complete_scan(output)

    def open(self, source: Path | bytes, target: Path | None, *, named: bool, taken: Callable[[Path], bool]) -> Opened:
        """Read a picture or the slices of k-space; too many for the output are refused before the work."""
        suffix = self.suffix if target is None else scan_format_of(target)
        if self.pictures:
            picture = read_picture(source, max_pixels=self.max_pixels)
            return Opened(picture, suffix, target, picture.notes)
        k_space = read_kspace(source, max_pixels=self.max_pixels)
        check_slices(len(k_space), suffix)
        return Opened(k_space, suffix, target, ())

    def encode(self, made: Scan, file_format: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the file of the slices, and what became of their values."""
        return encode_scan(made.slices, file_format)


def named_error(error: ImageError, path: Path | None) -> ImageError:
    """Return the error with the name of an output before it."""
    return error if path is None else type(error)(f"{show_path(path)}: {error}")
