"""Cameras: mosaics, one colour a pixel as behind a Bayer sensor's filters, their interpolation, and colours in sRGB."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from restorekit.types import BayerPattern

Image = NDArray[np.float32]

INTERPOLATION_ERROR = 5 / 255
"""About the RMS error of `interpolate` on photographs, in [0, 1]: the conditioning of demosaicking networks."""

RESIDUAL_SHARE = 0.5
"""The part of the error at an observed value that `reconcile` assumes for its neighbours. On photographs for training
this is 0.07 dB better than none of it with the non-local model, and as good as all; the U-Net leaves observed values as
they are."""

_GREEN = 1


def bayer_mask(height: int, width: int, pattern: BayerPattern) -> Tensor:
    """Return M, [H, W, 3] float32: M[i, j, c] = 1 where pixel (i, j) observes channel c, else 0."""
    mask = torch.zeros(height, width, 3)
    for row, column in product(range(2), range(2)):
        mask[row::2, column::2, pattern.channel(row, column)] = 1
    return mask


def mosaic(rgb: Tensor, pattern: BayerPattern) -> Tensor:
    """Return what the sensor sees of an image: y[i, j] = sum_c M[i, j, c] x[i, j, c], [H, W, 3] -> [H, W]."""
    return (rgb * bayer_mask(rgb.shape[0], rgb.shape[1], pattern).to(rgb)).sum(-1)


def spread(observed: Tensor, pattern: BayerPattern) -> Tensor:
    """Return x[i, j, c] = M[i, j, c] y[i, j], the adjoint of `mosaic`: [H, W] -> [H, W, 3]."""
    return observed[..., None] * bayer_mask(observed.shape[0], observed.shape[1], pattern).to(observed)


def mirror(length: int, start: int, stop: int) -> Tensor:
    """Return the indices 0..length - 1 at positions start..stop - 1 of a line mirrored at its first and last pixel.

    Such a mirror, ... 2 1 0 1 2 ..., maps even positions to even ones and odd to odd, so that it continues the pattern
    of a mosaic. A line of one pixel is the exception: there is nothing else to repeat.
    """
    period = max(2 * (length - 1), 1)
    positions = torch.arange(start, stop) % period
    return torch.minimum(positions, period - positions)


def interpolate(observed: Tensor, pattern: BayerPattern) -> Tensor:
    """Interpolate linearly over 5x5 pixels, corrected by the Laplacian of the observed colour.

    At a red pixel, for instance, G = mean of the four neighbours in G + (1/2) Laplacian of R. Images that are linear
    in each channel are reproduced. H. Malvar, L. He and R. Cutler, High-quality linear interpolation for demosaicing
    of Bayer-patterned color images, ICASSP 2004, figure 2.

    From mosaics [B, 1, H, W] of any size and unit to RGB [B, 3, H, W], unclipped, that keep the observed values.
    Differentiable.
    """
    height, width = observed.shape[-2:]
    rows, columns = (mirror(side, -2, side + 2).to(observed.device) for side in (height, width))
    extended = observed[..., rows, :][..., columns]
    candidates = torch.cat((observed, conv2d(extended, _FILTERS[:, None].to(observed))), 1)
    rgb = observed.new_empty(observed.shape[0], 3, height, width)
    for row, column, channel in product(range(2), range(2), range(3)):
        rgb[:, channel, row::2, column::2] = candidates[:, _candidate(pattern, row, column, channel), row::2, column::2]
    return rgb


def reconcile(estimate: Tensor, observed: Tensor, pattern: BayerPattern) -> Tensor:
    """Return an estimate x that agrees with y: x + (M + (1 - M) / 2) I(y - M x), I `interpolate`; [H, W, 3] unclipped.

    Observed values are restored exactly. Half of the change, interpolated, is made at all others, so that the observed
    ones do not stand out from their neighbours.
    """
    residual = observed - mosaic(estimate, pattern)
    correction = interpolate(residual[None, None], pattern)[0].permute(1, 2, 0)
    better = torch.add(estimate, correction, alpha=RESIDUAL_SHARE)
    is_observed = bayer_mask(observed.shape[0], observed.shape[1], pattern).to(observed.device) > 0
    return torch.where(is_observed, observed[..., None], better)


def _candidate(pattern: BayerPattern, row: int, column: int, channel: int) -> int:
    """Return which candidate estimates the channel at such a pixel: 0 the observation itself, or a filter from 1 on."""
    here, beside = pattern.channel(row, column), pattern.channel(row, column + 1)
    if channel == here:
        return 0
    if channel == _GREEN:
        return 1
    if here == _GREEN:
        return 2 if channel == beside else 3
    return 4


_CROSS = [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]]
_ALONG_ROW = [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]]
_ALONG_COLUMN = [list(line) for line in zip(*_ALONG_ROW, strict=True)]
_DIAGONAL = [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]]
_FILTERS = torch.tensor([_CROSS, _ALONG_ROW, _ALONG_COLUMN, _DIAGONAL]) / 8
"""[4, 5, 5]: the neighbours from which a colour is interpolated."""


def balance_white(mosaic: Image, factors: Sequence[float], pattern: BayerPattern) -> Image:
    """Return min(1, f_c y), c the channel that a pixel observes: [H, W] -> [H, W].

    With factors of at least 1, a saturated pixel becomes 1 in every channel: highlights clip to white, and not to the
    colour of the sensor.
    """
    balanced = np.empty_like(mosaic)
    for row, column in np.ndindex(2, 2):
        factor = factors[pattern.channel(row, column)]
        balanced[row::2, column::2] = np.minimum(factor * mosaic[row::2, column::2], 1)
    return balanced


def camera_to_srgb(rgb: Image, matrix: ArrayLike) -> Image:
    """Convert white-balanced linear colours of a camera to linear sRGB: min(1, max(0, M x)) of each pixel."""
    return np.asarray((rgb @ np.asarray(matrix, np.float32).T).clip(0, 1))


def encode_srgb(linear: NDArray[Any]) -> Image:
    """Convert light in [0, 1] to sRGB values: 12.92 v up to 0.0031308, then 1.055 v^(1/2.4) - 0.055; IEC 61966-2-1."""
    curve = 1.055 * np.power(linear, 1 / 2.4, dtype=np.float32) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve).astype(np.float32)


def decode_srgb(values: NDArray[Any]) -> Image:
    """Invert `encode_srgb`: v / 12.92 up to 0.04045, then ((v + 0.055) / 1.055)^2.4."""
    curve = np.power((values + 0.055) / 1.055, 2.4, dtype=np.float32)
    return np.where(values <= 0.04045, values / 12.92, curve).astype(np.float32)
