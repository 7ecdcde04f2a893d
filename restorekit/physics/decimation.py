"""Blur followed by decimation: low resolution as a linear model of high resolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from typing_extensions import override

from restorekit.errors import UsageError
from restorekit.physics.base import Physics
from restorekit.physics.blur import image_of, spectrum_of, transfer_function

SCALES = (2, 3, 4)
_CUBIC = -0.75
"""The parameter a of the cubic kernel that torch interpolates with."""
_BICUBIC_ERRORS = {2: 11.4 / 255, 3: 18.3 / 255, 4: 20.9 / 255}
"""Root mean square, measured on every fourth of 380 photographs for training, their middle 240x240 pixels."""


class BlurDecimation(Physics):
    """y[i] = sum_j taps[j] x[s i + origin + j] in periodic images whose sides are multiples of s.

    In Fourier space A = S F^H K F, S the choice of every s-th row and column; y is [B, C, H / s, W / s].

    Args:
        taps: the filter that averages the pixels that one pixel of y sees, [kh, kw].
        origin: where its first tap lies, rows and columns from the pixel s i on.
        scale: s, 1 or more.
    """

    def __init__(self, taps: Tensor, origin: tuple[int, int], scale: int) -> None:
        self._taps, self._origin, self.scale = taps.to(torch.float64), origin, scale

    @override
    def A(self, x: Tensor) -> Tensor:
        if any(side % self.scale for side in x.shape[-2:]):
            raise UsageError(f"an image of {list(x.shape[-2:])} cannot be decimated by {self.scale}")
        return image_of(self._transfer(x) * spectrum_of(x), x)[..., :: self.scale, :: self.scale]

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        scale = self.scale
        spread = y.new_zeros(*y.shape[:-2], y.shape[-2] * scale, y.shape[-1] * scale)
        spread[..., ::scale, ::scale] = y
        return image_of(self._transfer(spread).conj() * spectrum_of(spread), spread)

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Return z + A^T (A A^T + gamma)^-1 (y - A z); A A^T is a circular convolution of the size of y.

        N. Zhao et al., Fast Single Image Super-Resolution Using a New Analytical Solution for l2-l2 Problems, IEEE
        TIP 2016, theorem 1, rearranged so that nothing is divided by gamma: exact in float32 where gamma is small.
        """
        impulse = torch.zeros_like(y[:1, :1])
        impulse[..., 0, 0] = 1
        # The mean of |K|^2 over the s^2 frequencies that S makes alike; symmetric, so that it is real.
        power = spectrum_of(self.A(self.A_adjoint(impulse))).real
        return z + self.A_adjoint(image_of(spectrum_of(y - self.A(z)) / (power + gamma), y))

    def _transfer(self, image: Tensor) -> Tensor:
        """Return K of the correlation with the taps, [H, W // 2 + 1]."""
        return transfer_function(self._taps, self._origin, image).conj()


def bicubic_decimation(scale: int) -> BlurDecimation:
    """Return the operator of torch's interpolate(mode="bicubic", align_corners=False, antialias=False) by 1 / scale.

    Pixel i of y lies at s i + (s - 1) / 2 of x. At scale 3 that is a pixel, so y merely picks it; at 2 and 4 it lies
    half-way between two, and the cubic kernel of a = -0.75 weighs the four nearest. Away from the edges A is torch's
    operator. At them torch repeats the last pixel, and this model wraps around: at scale 2 in the first and the last
    row and column (one tap of four), at 3 and 4 nowhere. Both x and y extended by their mirror image satisfy it.

    Raises UsageError for another scale than 2, 3 or 4.
    """
    _check_scale(scale)
    if scale % 2:
        return BlurDecimation(torch.ones(1, 1), (scale // 2, scale // 2), scale)
    near = (_CUBIC + 2) / 8 - (_CUBIC + 3) / 4 + 1
    far = _CUBIC * (1.5**3 - 5 * 1.5**2 + 8 * 1.5 - 4)
    weights = torch.tensor([far, near, near, far], dtype=torch.float64)
    first = scale // 2 - 2
    return BlurDecimation(torch.outer(weights, weights), (first, first), scale)


def bicubic_error(scale: int) -> float:
    """Return the RMS error of bicubic interpolation on photographs, in [0, 1]: the conditioning of super-resolution.

    Raises UsageError for another scale than 2, 3 or 4.
    """
    _check_scale(scale)
    return _BICUBIC_ERRORS[scale]


def _check_scale(scale: int) -> None:
    if scale not in SCALES:
        raise UsageError(f"scale {scale}: use one of {', '.join(map(str, SCALES))}")


def enlarge_bicubic(images: Tensor, scale: int) -> Tensor:
    """Interpolate with a = -0.75: [B, C, h, w] -> [B, C, scale h, scale w], which may leave [0, 1]."""
    return interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


def shrink_bicubic(images: Tensor, scale: int) -> Tensor:
    """Interpolate with a = -0.75, without antialiasing: [B, C, H, W] -> [B, C, H // scale, W // scale].

    Rows and columns at the bottom and right beyond multiples of the scale are left out.
    """
    height, width = (side - side % scale for side in images.shape[-2:])
    size = (height // scale, width // scale)
    return interpolate(images[..., :height, :width], size=size, mode="bicubic", align_corners=False, antialias=False)
