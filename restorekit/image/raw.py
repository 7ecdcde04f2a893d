"""Camera RAW files through rawpy (LibRaw): the sensor's mosaic, and what makes a colour picture of it."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.codecs import is_raw_tiff
from restorekit.image.formats import check_pixels, import_extra
from restorekit.image.metadata import exif_of_tiff
from restorekit.image.picture import Camera, Metadata, Picture

if TYPE_CHECKING:
    from rawpy import RawPy

raw_suffixes = frozenset(  # in lower case, of the RAW files that are looked for in a folder
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"}
    | {".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
# Fujifilm; Panasonic and Leica; Olympus (three); Canon CRW; Minolta; Sigma.
_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"II\x1a\0\0\0HEAPCCDR", b"\0MRM", b"FOVb")
_CANON_CR3 = b"ftypcrx "
_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}


def is_raw(data: bytes, suffix: str) -> bool:
    """Return whether a file is a camera's RAW by its content, or, for a TIFF that does not say so, by its suffix."""
    if data.startswith((b"II*\0", b"MM\0*")):
        return suffix.lower() in raw_suffixes or is_raw_tiff(data)
    return data.startswith(_SIGNATURES) or data[4:12] == _CANON_CR3


def decode_raw(data: bytes, max_pixels: int | None) -> Picture:
    """Return the mosaic (v - black) / (white - black), clipped to [0, 1], as 16-bit grey with its `Camera`.

    It lies as the sensor does: upright, it would have another pattern.

    Raises UnreadableImageError for damaged files and those that LibRaw does not know, UnsupportedImageError for all but
    Bayer patterns of red, green and blue, ImageTooLargeError, and MissingExtraError without rawpy.
    """
    rawpy = import_extra("rawpy", "camera RAW files are read", "raw")
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
    except struct.error:
        notes.append("EXIF data left out, as it is not read from this kind of RAW file")
    return Picture(pixels, Metadata("tiff", exif=exif, camera=camera), notes=tuple(notes))


def _colour_indices(raw: RawPy) -> NDArray[np.uint8]:
    """Return which of the sensor's colours the first 2x2 pixels see. Refuses all but Bayer patterns."""
    pattern = raw.raw_pattern
    if pattern is None:
        raise UnsupportedImageError("a RAW file with no mosaic in it (linear DNG, Foveon, pixel shift)")
    if pattern.shape == (6, 6):
        raise UnsupportedImageError("a RAW file of an X-Trans sensor; only Bayer patterns are demosaicked")
    if _letters(raw, pattern) not in ("rggb", "bggr", "grbg", "gbrg"):
        raise UnsupportedImageError("a RAW file of a sensor without a Bayer pattern of red, green and blue")
    # LibRaw counts from the corner of the sensor, whose margins lie in the dark.
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


def _camera(raw: RawPy, indices: NDArray[np.uint8]) -> tuple[Camera, list[str]]:
    notes = []
    balance = np.array(raw.camera_whitebalance[:3], np.float64)
    if not (np.isfinite(balance) & (balance > 0)).all():
        balance = np.array(raw.daylight_whitebalance[:3], np.float64)
        notes.append("no white balance in the RAW file; the camera's for daylight is taken")
    if not (np.isfinite(balance) & (balance > 0)).all():
        raise UnsupportedImageError("a RAW file without white balance, of a camera whose colours LibRaw does not know")
    matrix = np.asarray(raw.color_matrix, np.float64)[:, :3]
    if not (np.isfinite(matrix).all() and np.allclose(matrix.sum(1), 1, atol=0.01)):
        matrix = np.eye(3)
        notes.append("LibRaw does not know the camera's colours; they are taken for those of sRGB")
    camera = Camera(
        pattern=_letters(raw, indices),
        white_balance=tuple((balance / balance.min()).tolist()),
        to_srgb=tuple(map(tuple, matrix.tolist())),
        orientation=_ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1),
    )
    return camera, notes
