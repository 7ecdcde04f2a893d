"""Blur kernels: [kh, kw] of odd sides, centred, summing to one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from restorekit.errors import UsageError

_CUT = 3
_SAMPLES_PER_PIXEL = 16


def normalise_kernel(kernel: Tensor) -> Tensor:
    """Divide by the sum: k / sum k, as float64.

    Raises:
        UsageError: not [kh, kw], an even side, values that are no numbers, or a sum of nothing.
    """
    if kernel.ndim != 2 or kernel.numel() == 0:
        raise UsageError(f"a kernel is an array of two dimensions, not of shape {list(kernel.shape)}")
    height, width = kernel.shape
    if height % 2 == 0 or width % 2 == 0:
        raise UsageError(
            f"a kernel of {width}x{height} pixels has no centre; make both sides odd with a row or column of zeros"
        )
    kernel = kernel.to(torch.float64)
    if not bool(kernel.isfinite().all()):
        raise UsageError("a kernel with NaN or infinite values")
    total = float(kernel.sum())
    if total <= 1e-6 * float(kernel.abs().sum()):
        raise UsageError(f"a kernel that sums to {total:.3g} lets no light through; its sum must be above 0")
    return kernel / total


def gaussian_kernel(sigma: float) -> Tensor:
    """exp(-(r^2 + c^2) / (2 sigma^2)), cut at 3 sigma: [2 n + 1, 2 n + 1] with n = ceil(3 sigma), sigma in pixels.

    Raises:
        UsageError: sigma is not a number above 0.
    """
    _check_extent(sigma, "a Gaussian's standard deviation")
    offsets = torch.arange(-math.ceil(_CUT * sigma), math.ceil(_CUT * sigma) + 1, dtype=torch.float64)
    line = torch.exp(-(offsets**2) / (2 * sigma**2))
    return normalise_kernel(torch.outer(line, line))


def motion_kernel(length: float, angle: float) -> Tensor:
    """A straight line through the centre, `length` pixels long, `angle` degrees anticlockwise from the horizontal.

    Raises:
        UsageError: no length above 0, or an angle that is no number.
    """
    _check_extent(length, "the length of a motion")
    if not math.isfinite(angle):
        raise UsageError(f"the angle of a motion is a number of degrees, not {angle:g}")
    count = math.ceil(_SAMPLES_PER_PIXEL * length)
    along = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
    return path_kernel(-math.sin(math.radians(angle)) * along, math.cos(math.radians(angle)) * along)


def path_kernel(rows: Tensor, cols: Tensor) -> Tensor:
    """A path through points (rows, cols), pixels from the centre, [n] each: what light it leaves on each pixel.

    The light of a point is shared out linearly among the four pixels around it.
    """
    radius = math.ceil(max(float(rows.abs().max()), float(cols.abs().max())))
    pixels = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = [(1 - (pixels[:, None] - positions).abs()).clamp_min(0) for positions in (rows, cols)]
    return normalise_kernel(weights[0] @ weights[1].T)


def _check_extent(value: float, name: str) -> None:
    if not (math.isfinite(value) and 0 < value <= 1000):
        raise UsageError(f"{name} is a number of pixels above 0, up to 1000, not {value:g}")
