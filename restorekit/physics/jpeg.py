"""JPEG: its quantisation tables, its colour space, its chroma, and how much error a quality factor leaves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from restorekit.errors import UsageError

Plane = NDArray[np.float32]
LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
)  # fmt: skip
"""Quantisation steps at quality 50, row by row: ITU-T T.81, tables K.1 and K.2."""

_ERROR_AT_SCALE_100 = 5.9
_ERROR_EXPONENT = 0.49
"""Fitted to the RMS error of luma over 62 photographs for training, cut off their own grid of blocks, at qualities 5 to
95: within 0.4 of the measured values on the scale 0..255 from 20 to 95; 0.9 above at 10, 2.5 above at 5."""
_CHROMA_SHARE = 0.8
"""Conditioning of chroma over that of luma at the same quality: chroma is smoother. Of 0.6, 0.8 and 1 it restored best
on average over qualities 10 to 95 of four photographs for training, halved in size so that their chroma is not that of
the JPEGs they come from."""
_LEAST_SCALE = 1.0
"""In per cent. Even steps of 1, which libjpeg has at quality 100, leave a rounding error of 0.6."""


def scale_of(quality: float) -> float:
    """Return libjpeg's scale of the standard tables, in per cent: s = 5000 / q for q < 50, else 200 - 2 q.

    Raises UsageError for a quality factor outside [1, 100].
    """
    if not 1 <= quality <= 100:
        raise UsageError(f"{quality:g} is not a JPEG quality factor; use a number from 1 to 100")
    return 5000 / quality if quality < 50 else 200 - 2 * quality


def rms_error(quality: float, *, chroma: bool = False) -> float:
    """Return about the RMS error of luma in a JPEG, in [0, 1]: 5.9 (s / 100)^0.49 / 255, s = scale_of(q).

    It is the conditioning of deblocking networks. For Cb and Cr, `chroma`, it is 0.8 times as much, which restores
    best; their own error is half that of luma at quality 10 and all of it at 95. Raises UsageError like `scale_of`.
    """
    scale = max(scale_of(quality), _LEAST_SCALE) / 100
    return (_CHROMA_SHARE if chroma else 1.0) * _ERROR_AT_SCALE_100 * float(scale**_ERROR_EXPONENT) / 255


def standard_table(quality: float, *, chroma: bool = False) -> NDArray[np.int64]:
    """Return libjpeg's table: clip(floor((floor(s) T + 50) / 100), 1, 255) of the standard T, [64] row by row."""
    standard = np.array(CHROMA_TABLE if chroma else LUMA_TABLE)
    steps: NDArray[np.int64] = (int(scale_of(quality)) * standard + 50) // 100
    return np.clip(steps, 1, 255)


def quality_of(table: Sequence[int], *, chroma: bool = False) -> int:
    """Return the quality q in 1..100 whose standard table T_q is nearest: argmin_q sum_k (log t_k - log T_q,k)^2.

    Exact for the tables that libjpeg makes, the nearest in coarseness for all others. The table has 64 steps of 1 or
    more, row by row (else UsageError), and is compared with those of chroma if `chroma`.
    """
    steps = np.asarray(table, np.float64)
    if steps.shape != (64,) or steps.min() < 1:
        raise UsageError("a JPEG quantisation table has 64 steps of 1 or more")
    # Of equals the higher quality, which smooths less, is taken.
    qualities = range(100, 0, -1)
    standards = np.array([standard_table(quality, chroma=chroma) for quality in qualities])
    return qualities[int(np.square(np.log(steps / standards)).sum(1).argmin())]


_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_CHROMA_ZERO = np.float32(128 / 255)


def rgb_to_ycbcr(rgb: NDArray[Any]) -> Plane:
    """Convert [H, W, 3] in [0, 1]: Y = 0.299 R + 0.587 G + 0.114 B, Cb and Cr scaled B - Y and R - Y about 128/255.

    Source: ITU-T T.871 (JFIF), BT.601 over the full range.
    """
    ycbcr: Plane = rgb.astype(np.float32) @ _TO_YCBCR.T
    ycbcr[..., 1:] += _CHROMA_ZERO
    return ycbcr


def ycbcr_to_rgb(ycbcr: NDArray[Any]) -> Plane:
    """Invert `rgb_to_ycbcr`, without clipping: [H, W, 3] to [H, W, 3]."""
    centred = ycbcr.astype(np.float32)
    centred[..., 1:] -= _CHROMA_ZERO
    return np.asarray(centred @ _TO_RGB.T)


_RADIUS = 1
_SMOOTHNESS = 1e-4
"""Of radii 1 to 4 and 1e-4 to 3e-3 the best on average over qualities 10, 20 and 40 of twelve photographs for training:
0.1 to 0.2 dB of chroma's PSNR above bicubic upsampling."""
_NOISE = 2.0
"""The energy not explained by the guide may be noise up to this multiple of the squared error. With 0 to 4 chroma of
twenty photographs for training gained 0.2 dB at quality 95 and lost at most 0.08, 0.01 with 2, at 10 to 80."""
_TINY = 1e-12
_LINEAR = ((2, 1), (1, 2), (2, 2))
_LEAST_SAMPLES = 3
"""libjpeg-turbo enlarges linearly by these factors, across only with so many samples or more."""


def shrink(plane: Plane, factors: tuple[int, int]) -> Plane:
    """Return means over blocks of `factors` = (across, down) pixels: [H, W] -> [ceil(H / down), ceil(W / across)]."""
    across, down = factors
    height, width = plane.shape
    whole = np.pad(plane, ((0, -height % down), (0, -width % across)), "edge")
    blocks = whole.reshape(whole.shape[0] // down, down, whole.shape[1] // across, across)
    return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def stored_samples(plane: Plane, factors: tuple[int, int]) -> Plane:
    """Return the small plane that a JPEG decoder enlarged to this one: [H, W] -> [ceil(H / down), ceil(W / across)].

    m_i = (s_(i-1) + 6 s_i + s_(i+1)) / 8, with s_0 for s_(-1), is the mean over the pixels of sample i where
    libjpeg-turbo has enlarged by 2 (2x1, 1x2, 2x2): each pixel is 3/4 of its sample and 1/4 of the next nearest. It is
    solved for s, exactly but for rounding and clipped colours. By other factors, and in images of fewer than three
    samples across, samples are repeated and equal the means.
    """
    small = shrink(plane, factors)
    if factors not in _LINEAR or (factors[0] == 2 and small.shape[1] < _LEAST_SAMPLES):
        return small
    for axis, factor in enumerate(reversed(factors)):
        if factor == 2 and small.shape[axis] > 1:
            small = _unmixed(small, axis, odd=plane.shape[axis] % 2 == 1)
    return small.clip(0, 1)


def _unmixed(means: Plane, axis: int, odd: bool) -> Plane:
    """Solve for the samples along an axis; `odd`: the last of them has one pixel only, which is its first."""
    from scipy.linalg import solve_banded

    rows = np.moveaxis(means, axis, 0)
    bands = np.repeat(np.array([[1], [6], [1]]) / 8, len(rows), axis=1)
    bands[1, 0] = bands[1, -1] = 7 / 8
    if odd:
        bands[2, -2], bands[1, -1] = 1 / 4, 3 / 4
    samples: Plane = np.moveaxis(solve_banded((1, 1), bands, rows), 0, axis).astype(np.float32)
    return samples


def enlarge_guided(plane: Plane, guide: Plane, factors: tuple[int, int], error: float) -> Plane:
    """Enlarge p by the guided filter and its residual: up(x' + w r) + up(h) (x - up(x')), x = a g + b, r = p - x'.

    The small plane p [h, w] is explained by the guide g [H, W], shrunk to its size (g'), in windows of 3x3 pixels:
    a = cov(g', p) / (var(g') + eps), b = mean(p) - a mean(g'). Averaged over the windows and enlarged bilinearly they
    turn edges of the guide into edges of x [H, W]. The residual r against x, shrunk to x', is added with the weight
    w = v / (v + error^2), v its mean square around a pixel and `error` the RMS error of p. Detail of the guide below
    the size of small pixels has the weight h = u / (u + max(v - 2 error^2, 0)), u = a^2 var(g'), which is small where
    chroma does not follow luma. Source of the filter: He and Sun, Fast Guided Filter, 2015.
    """
    small = shrink(guide, factors)
    mean_guide, mean_plane = _mean(small), _mean(plane)
    variance = _mean(small * small) - mean_guide * mean_guide
    slope = (_mean(small * plane) - mean_guide * mean_plane) / (variance + _SMOOTHNESS)
    offset = mean_plane - slope * mean_guide
    explained = _enlarge(_mean(slope), guide.shape, factors) * guide + _enlarge(_mean(offset), guide.shape, factors)
    coarse = shrink(explained, factors)
    rest = plane - coarse
    energy, shown = _mean(rest * rest), slope * slope * variance + _TINY
    kept = coarse + energy / (energy + error**2 + _TINY) * rest
    trust = _mean(shown / (shown + np.maximum(energy - _NOISE * error**2, 0)))
    detail = explained - _enlarge(coarse, guide.shape, factors)
    return _enlarge(kept, guide.shape, factors) + _enlarge(trust, guide.shape, factors) * detail


def _mean(plane: NDArray[Any]) -> Plane:
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(plane, 2 * _RADIUS + 1, mode="nearest"))


def _enlarge(plane: NDArray[Any], shape: tuple[int, ...], factors: tuple[int, int]) -> Plane:
    across, down = factors
    enlarged = interpolate(torch.from_numpy(plane)[None, None], scale_factor=(down, across), mode="bilinear")
    return np.asarray(enlarged[0, 0, : shape[0], : shape[1]])
