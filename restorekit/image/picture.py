"""A picture in memory: its pixels in the file's own depth, and what the file said about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ImageError

Pixels = NDArray[Any]
"""uint8, uint16, float16, float32 or float64."""

_ROWS_AT_A_TIME = 64


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was compressed.

    `luma`, `chroma`: 64 quantisation steps each, row by row as stored; `chroma` is empty for a grey one. `subsampling`:
    how many pixels across and down, as the file has them, share a sample of chroma, (1, 1) where all have their own.
    """

    luma: tuple[int, ...]
    chroma: tuple[int, ...] = ()
    subsampling: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Camera:
    """What makes a colour picture of a RAW file's mosaic.

    `pattern`: the colours of its first 2x2 pixels, row by row, such as "rggb". `white_balance`: factors of R, G and B,
    the least of them 1, after which neutral surfaces are grey. `to_srgb`: the matrix, of rows that sum to 1, from
    colours so balanced to linear sRGB. `orientation`: as in EXIF, 1 to 8, not yet followed.
    """

    pattern: str
    white_balance: tuple[float, ...]
    to_srgb: tuple[tuple[float, ...], ...]
    orientation: int = 1


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels.

    `file_format`: the container it came from, a key of `formats.FORMATS`. `exif`: a TIFF-structured EXIF block without
    the `Exif` prefix, its orientation 1. `icc`: a colour profile. `dpi`: horizontal and vertical dots an inch.
    `png_colour`: whole PNG chunks that say what the numbers mean (gamma, primaries), written back to PNG only. `jpeg`:
    how the file was compressed, if it was a JPEG. `camera`: how to develop it, if it was a camera's RAW file.
    `orientation`: as in EXIF, 1 to 8, what the pixels have been turned by since they left the file.
    """

    file_format: str
    exif: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None
    png_colour: tuple[bytes, ...] = ()
    jpeg: JpegCoding | None = None
    camera: Camera | None = None
    orientation: int = 1


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture with straight (not premultiplied) colour.

    `pixels`: [H, W] grey or [H, W, 3] RGB in the file's own depth. `alpha`: [H, W] of the same depth, or None.
    `notes`: what was converted on reading, for the user to be told.
    """

    pixels: Pixels
    metadata: Metadata
    alpha: Pixels | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel, alpha aside."""
        return self.pixels.ndim == 2

    def to_float(self) -> NDArray[np.float32]:
        """Pixels / (2^bits - 1) as float32, [H, W] or [H, W, 3]. Float pictures are taken as they are, unclipped."""
        if self.pixels.dtype.kind == "f":
            return self.pixels.astype(np.float32)
        scale = np.float32(np.iinfo(self.pixels.dtype).max)
        return np.divide(self.pixels, scale, dtype=np.float32)

    def with_float(self, restored: NDArray[np.floating[Any]]) -> Picture:
        """The same picture with other pixels: clamped to [0, 1], rounded to the nearest integer the depth holds.

        `restored` has the shape of `pixels`. Raises ImageError if it holds NaN or infinity.
        """
        if restored.shape != self.pixels.shape:
            raise ValueError(f"restored has shape {restored.shape}, the picture {self.pixels.shape}")
        pixels = np.empty(self.pixels.shape, self.pixels.dtype)
        # Some rows at a time, so that no second full-size float copy is needed.
        for top in range(0, len(pixels), _ROWS_AT_A_TIME):
            rows = restored[top : top + _ROWS_AT_A_TIME]
            if not np.isfinite(rows).all():
                raise ImageError("the restored picture holds NaN or infinite values; nothing was kept of it")
            rows = np.clip(rows, 0, 1)
            if pixels.dtype.kind == "u":
                rows *= np.iinfo(pixels.dtype).max
                np.rint(rows, out=rows)
            pixels[top : top + _ROWS_AT_A_TIME] = rows
        return replace(self, pixels=pixels)


def from_channels(
    channels: Pixels, metadata: Metadata, notes: tuple[str, ...] = (), *, premultiplied: bool = False
) -> Picture:
    """A picture from [H, W, S] samples: S = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""
    samples = channels.shape[2]
    colours = samples - (samples in (2, 4))
    pixels = np.ascontiguousarray(channels[..., 0] if colours == 1 else channels[..., :colours])
    alpha = np.ascontiguousarray(channels[..., -1]) if samples in (2, 4) else None
    if premultiplied and alpha is not None:
        pixels = _straight_colour(pixels, alpha)
        notes = (*notes, "premultiplied colour made straight")
    return Picture(pixels, metadata, alpha, notes)


def scale_to_depth(values: Pixels, maximum: int) -> Pixels:
    """round(x (2^b - 1) / maximum), b = 8 or 16 bits, the smaller that holds `maximum`."""
    depth = np.uint8 if maximum <= 255 else np.uint16
    full = np.iinfo(depth).max
    table = (np.arange(maximum + 1) * full * 2 + maximum) // (2 * maximum)
    return table.astype(depth)[np.minimum(values, maximum)]


def collapse_grey(rgb: Pixels) -> Pixels:
    """[H, W, 3 or 4] with three equal colours -> [H, W, 1 or 2]; others as they are. For palettes of greys."""
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        return rgb[..., [0, *range(3, rgb.shape[2])]]
    return rgb


def _straight_colour(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Colour c over alpha a; as integers round(c max / a), whence round(c a / max) gives every c <= a back."""
    weight = alpha if pixels.ndim == 2 else alpha[..., None]
    straight = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS_AT_A_TIME):
        rows = slice(top, top + _ROWS_AT_A_TIME)
        if pixels.dtype.kind == "f":
            straight[rows] = np.divide(pixels[rows], weight[rows], out=pixels[rows].copy(), where=weight[rows] > 0)
        else:
            full = int(np.iinfo(pixels.dtype).max)
            divisor = np.maximum(weight[rows], 1).astype(np.uint64)
            quotient = (pixels[rows].astype(np.uint64) * (2 * full) + divisor) // (2 * divisor)
            straight[rows] = np.minimum(quotient, full)
    return straight


_SWAPS_AXES = (5, 6, 7, 8)
_INVERSES = {6: 8, 8: 6}


def turn_upright(picture: Picture, orientation: int, exif: bytes) -> Picture:
    """The picture turned and mirrored as `orientation` (1 to 8) asks, keeping `exif`, whose tag must be 1 already."""
    dpi = picture.metadata.dpi
    if dpi is not None and orientation in _SWAPS_AXES:
        dpi = dpi[::-1]
    alpha = None if picture.alpha is None else turn(picture.alpha, orientation)
    metadata = replace(picture.metadata, exif=exif, dpi=dpi, orientation=orientation)
    return replace(picture, pixels=turn(picture.pixels, orientation), alpha=alpha, metadata=metadata)


def turn_back(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels as the file has them, given them upright: the inverse of `turn`."""
    return turn(pixels, _INVERSES.get(orientation, orientation))


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Exif 2.32, tag 0x0112: where the stored row 0 and column 0 lie in the picture as it is to be seen."""
    if orientation in _SWAPS_AXES:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
