"""A picture in memory: its pixels in the file's own depth, and what the file said about them."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ImageError

Pixels = NDArray[Any]  # uint8, uint16, float16, float32 or float64
_ROWS_AT_A_TIME = 64


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was compressed.

    `luma`, `chroma`: 64 quantisation steps each, row by row; `chroma` is empty for a grey JPEG. `subsampling`: how many
    pixels across and down share one chroma sample, (1, 1) where each has its own. It counts in the file's orientation.
    """

    luma: tuple[int, ...]
    chroma: tuple[int, ...] = ()
    subsampling: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Camera:
    """How to make a colour picture of a RAW file's mosaic.

    `pattern`: the colours of the first 2x2 pixels, row by row, such as "rggb". `white_balance`: factors of R, G and B
    that make neutral surfaces grey; the least is 1. `to_srgb`: the matrix from balanced colours to linear sRGB; its
    rows sum to 1. `orientation`: as in EXIF, 1 to 8, not yet applied.
    """

    pattern: str
    white_balance: tuple[float, ...]
    to_srgb: tuple[tuple[float, ...], ...]
    orientation: int = 1


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels.

    `file_format`: the format it came from, a key of `formats.FORMATS`. `exif`: an EXIF block, which is a TIFF structure
    without the `Exif` prefix; its orientation is 1. `icc`: a colour profile. `dpi`: dots per inch across and down.
    `png_colour`: whole PNG chunks that say what the numbers mean (gamma, primaries); only PNG files get them back.
    `jpeg`: how a JPEG was compressed. `camera`: how to develop a RAW file. `orientation`: the EXIF orientation, 1 to 8,
    that has been applied to the pixels.
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
    """An upright picture whose colour is not premultiplied by alpha.

    `pixels`: [H, W] grey or [H, W, 3] RGB in the file's own depth. `alpha`: [H, W] of the same depth, or None.
    `notes`: what reading converted, to be told to the user.
    """

    pixels: Pixels
    metadata: Metadata
    alpha: Pixels | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel beside alpha."""
        return self.pixels.ndim == 2

    def to_float(self) -> NDArray[np.float32]:
        """Return pixels / (2^bits - 1) as float32, [H, W] or [H, W, 3]. Float pixels are neither scaled nor clipped."""
        if self.pixels.dtype.kind == "f":
            return self.pixels.astype(np.float32)
        return np.divide(self.pixels, np.float32(np.iinfo(self.pixels.dtype).max), dtype=np.float32)

    def with_float(self, restored: NDArray[np.floating[Any]]) -> Self:
        """Return the picture with these pixels, clamped to [0, 1] and rounded; raise ImageError for NaN or infinity."""
        if restored.shape != self.pixels.shape:
            raise ValueError(f"restored has shape {restored.shape}, the picture {self.pixels.shape}")
        pixels = np.empty(self.pixels.shape, self.pixels.dtype)
        # A few rows at a time, so that no second full-size float copy is needed.
        for top in range(0, len(pixels), _ROWS_AT_A_TIME):
            rows = restored[top : top + _ROWS_AT_A_TIME]
            if not np.isfinite(rows).all():
                raise ImageError("the restored picture holds NaN or infinite values, so it is not kept")
            rows = np.clip(rows, 0, 1)
            if pixels.dtype.kind == "u":
                rows *= np.iinfo(pixels.dtype).max
                np.rint(rows, out=rows)
            pixels[top : top + _ROWS_AT_A_TIME] = rows
        return replace(self, pixels=pixels)

    def channels(self, *, rgb: bool = False) -> Pixels:
        """Return the pixels, with `rgb` always three channels, and alpha, if any, as the last channel."""
        pixels = np.dstack([self.pixels] * 3) if rgb and self.is_grey else self.pixels
        return pixels if self.alpha is None else np.dstack((pixels, self.alpha))


def from_channels(channels: Pixels, metadata: Metadata, notes: list[str], premultiplied: bool = False) -> Picture:
    """Return a picture of [H, W] or [H, W, S] samples: S = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""
    channels = np.atleast_3d(channels)
    samples = channels.shape[2]
    pixels = np.ascontiguousarray(channels[..., 0] if samples < 3 else channels[..., :3])
    alpha = np.ascontiguousarray(channels[..., -1]) if samples in (2, 4) else None
    if premultiplied and alpha is not None:
        pixels = _divide_by_alpha(pixels, alpha)
        notes = [*notes, "premultiplied colour made straight"]
    return Picture(pixels, metadata, alpha, tuple(notes))


def scale_to_depth(values: Pixels, maximum: int) -> Pixels:
    """Return round(x (2^b - 1) / maximum), where b is 8 or 16 bits, the smaller that holds `maximum`."""
    depth = np.uint8 if maximum <= 255 else np.uint16
    full = np.iinfo(depth).max
    table = (np.arange(maximum + 1) * full * 2 + maximum) // (2 * maximum)
    return table.astype(depth)[np.minimum(values, maximum)]


def _divide_by_alpha(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Divide colour c by alpha a; integers as round(c max / a), from which round(c a / max) recovers every c <= a."""
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


def turn_upright(picture: Picture, orientation: int, exif: bytes) -> Picture:
    """Return the picture with EXIF `orientation` (1 to 8) applied, and with `exif`, whose orientation is 1 already."""
    dpi, alpha = picture.metadata.dpi, picture.alpha
    dpi = dpi[::-1] if dpi is not None and orientation in _SWAPS_AXES else dpi
    alpha = None if alpha is None else turn(alpha, orientation)
    metadata = replace(picture.metadata, exif=exif, dpi=dpi, orientation=orientation)
    return replace(picture, pixels=turn(picture.pixels, orientation), alpha=alpha, metadata=metadata)


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Return stored pixels upright. Exif 2.32, tag 0x0112: where the stored row 0 and column 0 are to be seen."""
    if orientation in _SWAPS_AXES:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def turn_back(pixels: Pixels, orientation: int) -> Pixels:
    """Return upright pixels as the file stores them: the inverse of `turn`."""
    return turn(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def checked_dpi(x: float, y: float) -> tuple[float, float] | None:
    """Return dots per inch across and down, None if they make no sense."""
    return (float(x), float(y)) if np.isfinite([float(x), float(y)]).all() and x > 0 and y > 0 else None


def expand_palette(rgb: Pixels, notes: list[str], *, has_profile: bool = False) -> Pixels:
    """Return a palette's colours [H, W, 3 or 4], as grey if they are and no RGB profile says otherwise; note it."""
    grey = not has_profile and (rgb[..., 1:3] == rgb[..., :1]).all()
    notes.append(f"palette expanded to {'grey' if grey else 'RGB'}")
    return rgb[..., [0, *range(3, rgb.shape[2])]] if grey else rgb
