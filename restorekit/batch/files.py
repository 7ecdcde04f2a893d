"""Kinds of files that a batch reads and writes: pictures, and slices of MRI scans."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from restorekit import image as imaging
from restorekit.errors import OutputError, UnsupportedImageError
from restorekit.image import mri
from restorekit.image.formats import FORMATS
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
        """Of the output, all slices of it."""


@dataclass(frozen=True, eq=False)
class Restored(Account):
    """A picture that an operation made.

    jpeg: the picture to compress where the output is a JPEG, and the quality factor, so that an operation which
    compresses does so once; None writes `picture` at high quality.
    """

    picture: imaging.Picture
    jpeg: tuple[imaging.Picture, int] | None = None

    @property
    @override
    def megapixels(self) -> float:
        return float(self.picture.pixels.shape[0] * self.picture.pixels.shape[1]) / 1e6


@dataclass(frozen=True, eq=False)
class Scan(Account):
    """Slices that an operation made, [S, H, W]: images, or k-space with zero frequency in the middle."""

    slices: Slices

    @property
    @override
    def megapixels(self) -> float:
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
        """Read an input from its path or the bytes of standard input, for an output at `target`, or standard output.

        named: the user gave that path, so its suffix stays. taken: whether a path is an input or an output already; a
        path that it refuses counts as taken from then on.
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
    @override
    def suffixes(self) -> frozenset[str]:  # type: ignore[override]
        return imaging.supported_suffixes | (imaging.raw_suffixes if self.camera_raw else frozenset())

    @override
    def output_name(self, source: Path) -> Path:
        """Return the same format where it can be: PNG for one that is not written, TIFF for RAW files."""
        if source.suffix.lower() in imaging.raw_suffixes:
            return Path(f"{source.stem}.tiff")
        with suppress(UnsupportedImageError):
            found = imaging.file_format_of(source)
            wanted = self.written_as.get(found, found)
            if FORMATS[wanted].depths:
                suffix = self._kept(source.suffix) if wanted == found else FORMATS[wanted].suffixes[0]
                return Path(source.stem + suffix)
        return Path(f"{source.stem}.png")

    def _kept(self, suffix: str) -> str:
        """Return the suffix, or that of its sibling which says how many channels there are."""
        of_pnm = {1: ".pgm", 3: ".ppm"}
        return of_pnm.get(self.channels or 0, suffix) if suffix.lower() in of_pnm.values() else suffix

    @override
    def check_output(self, path: Path) -> None:
        """Accept a suffix of a format that is written and has so many channels."""
        file_format = imaging.file_format_of(path)
        if not FORMATS[file_format].depths:
            raise UnsupportedImageError(f"{file_format.upper()} files are not written; name a .png or .tif file")
        if file_format == "webp" and self.channels == 1:
            raise UnsupportedImageError("WebP has no pictures of one channel; name a .png or .tif file")

    @override
    def is_complete(self, output: Path) -> bool:
        """Return whether it decodes; its size is no reason to distrust an output, so no limit applies."""
        return imaging.decodes(output, max_pixels=2**62)

    @override
    def open(self, source: Path | bytes, target: Path | None, *, named: bool, taken: Callable[[Path], bool]) -> Opened:
        """Read a picture, and find a format that can hold its output before the work is done."""
        picture = imaging.read_picture(source, max_pixels=self.max_pixels, camera_raw=self.camera_raw)
        found = picture.metadata.file_format
        file_format = self.written_as.get(found, found) if target is None else imaging.file_format_of(target)
        to_hold = picture
        if self.channels is not None:
            to_hold = replace(picture, alpha=None, metadata=replace(picture.metadata, icc=b""))
        try:
            imaging.check_encodable(to_hold, file_format, strip_metadata=self.strip_metadata)
        except UnsupportedImageError as error:
            if target is not None and named:
                raise UnsupportedImageError(f"{imaging.show_path(target)}: {error}") from None
            planned = target or Path(f"stream{FORMATS[file_format].suffixes[0]}")
            holds = planned.with_suffix(imaging.output_suffix_for(to_hold, planned))
            file_format = imaging.file_format_of(holds)
            if target is None:
                note = f"written as {file_format.upper()}, for {error}"
                return Opened(picture, file_format, None, (*picture.notes, note))
            shown = imaging.show_path(holds)
            if taken(holds):
                raise OutputError(f"{shown}: is an input, or another's output; name one with -o") from None
            note = f"written as {shown}, for {error}"
            return Opened(picture, file_format, holds, (*picture.notes, note), renamed=True)
        return Opened(picture, file_format, target, picture.notes)

    @override
    def encode(self, made: Restored, file_format: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the file of a picture, a JPEG at the quality that the operation asks for."""
        picture, quality = made.picture, None
        if file_format == "jpeg" and made.jpeg is not None:
            picture, quality = made.jpeg
        strip = self.strip_metadata
        return imaging.encode_picture(picture, file_format, strip_metadata=strip, jpeg_quality=quality), ()


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
    @override
    def suffixes(self) -> frozenset[str]:  # type: ignore[override]
        return imaging.supported_suffixes if self.pictures else mri.KSPACE_SUFFIXES

    @override
    def output_name(self, source: Path) -> Path:
        return Path(f"{source.stem}{self.suffix}")

    @override
    def check_output(self, path: Path) -> None:
        """Accept one of `SCAN_SUFFIXES`."""
        if self.complex_valued and not path.name.lower().endswith(".npy"):
            raise UnsupportedImageError(f"k-space is complex, and is written as .npy, not as {path.suffix!r}")
        mri.scan_format_of(path)

    @override
    def is_complete(self, output: Path) -> bool:
        return mri.is_complete_scan(output)

    @override
    def open(self, source: Path | bytes, target: Path | None, *, named: bool, taken: Callable[[Path], bool]) -> Opened:
        """Read a picture or the slices of k-space; too many for the output are refused before the work."""
        suffix = self.suffix if target is None else mri.scan_format_of(target)
        if self.pictures:
            picture = imaging.read_picture(source, max_pixels=self.max_pixels)
            return Opened(picture, suffix, target, picture.notes)
        k_space = mri.read_kspace(source, max_pixels=self.max_pixels)
        mri.check_slices(len(k_space), suffix)
        return Opened(k_space, suffix, target, ())

    @override
    def encode(self, made: Scan, file_format: str) -> tuple[bytes, tuple[str, ...]]:
        return mri.encode_scan(made.slices, file_format)
