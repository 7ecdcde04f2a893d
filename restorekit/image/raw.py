"""Camera RAW files through rawpy (LibRaw): the mosaic of the sensor, and what makes a colour picture of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import MissingExtraError, UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import check_pixels
from restorekit.image.metadata import MalformedExifError, exif_of_tiff
from restorekit.image.picture import Camera, Metadata, Picture
from restorekit.image.tiff import is_raw_tiff

if TYPE_CHECKING:
    from rawpy import RawPy

raw_suffixes = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"}
    | {".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
"""Lower-case suffixes of the RAW files a folder is searched for."""

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")
_SIGNATURES = (
    b"FUJIFILMCCD-RAW",
    b"IIU\0",  # Panasonic, Leica
    b"IIRO",  # Olympus
    b"IIRS",
    b"MMOR",
    b"II\x1a\0\0\0HEAPCCDR",  # Canon CRW
    b"\0MRM",  # Minolta
    b"FOVb",  # Sigma
)
_CANON_CR3 = b"ftypcrx "
_BAYER_PATTERNS = ("rggb", "bggr", "grbg", "gbrg")
_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}


def is_raw(data: bytes, suffix: str) -> bool:
    """Whether a file's content is a camera's RAW; a TIFF file that does not say so is, if its name does."""
    if data.startswith(_TIFF_SIGNATURES):
        return suffix.lower() in raw_suffixes or is_raw_tiff(data)
    return data.startswith(_SIGNATURES) or data[4:12] == _CANON_CR3


def decode_raw(data: bytes, max_pixels: int | None) -> Picture:
    """The mosaic (v - black) / (white - black), clipped to [0, 1], as a grey picture of 16 bits with its `Camera`.

    It lies as the sensor does: turned upright, it would have another pattern.

    Raises:
        MissingExtraError: rawpy is not installed.
        UnreadableImageError: damaged, or of a kind unknown to LibRaw.
        UnsupportedImageError: not behind a Bayer pattern of red, green and blue.
        ImageTooLargeError: more than `max_pixels` pixels.
    """
    rawpy = _import_rawpy()
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            check_pixels(raw.sizes.width, raw.sizes.height, max_pixels)
            indices = _colour_indices(raw)
            pixels = _scaled(raw, indices)
            camera, notes = _camera(raw, indices)
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise UnreadableImageError(f"LibRaw cannot read this camera RAW file ({reason})") from error
    exif = b""
    try:
        exif = exif_of_tiff(data)
    except MalformedExifError:
        notes += ("EXIF data left out, as it is not read from this kind of RAW file",)
    return Picture(pixels, Metadata("tiff", exif=exif, camera=camera), notes=notes)


def _import_rawpy() -> ModuleType:
    try:
        import rawpy
    except ImportError as error:
        raise MissingExtraError("camera RAW files are read by rawpy: pip install 'restorekit[raw]'") from error
    return rawpy


def _colour_indices(raw: RawPy) -> NDArray[np.uint8]:
    """[2, 2]: which of the sensor's colours the first pixels observe. Refuses what is no Bayer pattern."""
    pattern = raw.raw_pattern
    if pattern is None:
        raise UnsupportedImageError(
            "a RAW file with all colours at each pixel (linear DNG, Foveon, pixel shift): there is no mosaic in it"
        )
    if pattern.shape == (6, 6):
        raise UnsupportedImageError("a RAW file of an X-Trans sensor; only Bayer patterns are demosaicked")
    if _letters(raw, pattern) not in _BAYER_PATTERNS:
        raise UnsupportedImageError("a RAW file of a sensor without a Bayer pattern of red, green and blue")
    # LibRaw counts from the corner of the sensor, part of which lies in the dark.
    return np.roll(pattern, (-raw.sizes.top_margin, -raw.sizes.left_margin), axis=(0, 1))


def _letters(raw: RawPy, indices: NDArray[np.uint8]) -> str:
    return "".join(chr(raw.color_desc[index]) for index in indices.flat).lower()


def _scaled(raw: RawPy, indices: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values, white = raw.raw_image_visible, raw.white_level
    pixels = np.empty(values.shape, np.uint16)
    for row, column in np.ndindex(2, 2):
        black = raw.black_level_per_channel[indices[row, column]]
        if white <= black:
            raise UnreadableImageError(f"the RAW file has white at {white} and black at {black}")
        part = (values[row::2, column::2].astype(np.float32) - black) / (white - black)
        pixels[row::2, column::2] = np.rint(65535 * np.clip(part, 0, 1))
    return pixels


def _camera(raw: RawPy, indices: NDArray[np.uint8]) -> tuple[Camera, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    balance = raw.camera_whitebalance
    if not _is_balance(balance):
        balance = raw.daylight_whitebalance
        notes += ("no white balance in the RAW file; the camera's for daylight is taken",)
    if not _is_balance(balance):
        raise UnsupportedImageError("a RAW file without white balance, of a camera whose colours LibRaw does not know")
    matrix = np.asarray(raw.color_matrix, np.float64)[:, :3]
    if not (np.isfinite(matrix).all() and np.allclose(matrix.sum(1), 1, atol=0.01)):
        matrix = np.eye(3)
        notes += ("LibRaw does not know the camera's colours; they are taken for those of sRGB",)
    least = min(balance[:3])
    red, green, blue = (factor / least for factor in balance[:3])
    camera = Camera(
        pattern=_letters(raw, indices),
        white_balance=(red, green, blue),
        to_srgb=tuple(map(tuple, matrix.tolist())),
        orientation=_ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1),
    )
    return camera, notes


def _is_balance(factors: Sequence[float]) -> bool:
    return bool(np.isfinite(factors[:3]).all() and min(factors[:3]) > 0)
