"""Blur: kernels, [kh, kw] of odd sides, centred and summing to one; and convolution with them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad
from typing_extensions import override

from restorekit.errors import UsageError
from restorekit.physics.base import Physics

_CUT = 3
_SAMPLES_PER_PIXEL = 16


def normalise_kernel(kernel: Tensor) -> Tensor:
    """Return k / sum k, as float64.

    Raises:
        UsageError: not [kh, kw], an even side, values that are not finite, or a sum that is not above 0.
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
    """Return exp(-(r^2 + c^2) / (2 sigma^2)), cut at 3 sigma: [2 n + 1, 2 n + 1] with n = ceil(3 sigma).

    Raises UsageError unless sigma, in pixels, is above 0.
    """
    _check_extent(sigma, "a Gaussian's standard deviation")
    offsets = torch.arange(-math.ceil(_CUT * sigma), math.ceil(_CUT * sigma) + 1, dtype=torch.float64)
    line = torch.exp(-(offsets**2) / (2 * sigma**2))
    return normalise_kernel(torch.outer(line, line))


def motion_kernel(length: float, angle: float) -> Tensor:
    """Return a straight line through the centre, `length` pixels long, `angle` degrees anticlockwise of horizontal.

    Raises UsageError unless the length is above 0 and the angle finite.
    """
    _check_extent(length, "the length of a motion")
    if not math.isfinite(angle):
        raise UsageError(f"the angle of a motion is a number of degrees, not {angle:g}")
    count = math.ceil(_SAMPLES_PER_PIXEL * length)
    along = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
    return path_kernel(-math.sin(math.radians(angle)) * along, math.cos(math.radians(angle)) * along)


def path_kernel(rows: Tensor, cols: Tensor) -> Tensor:
    """Return the blur of a motion through points (rows, cols), [n] each, in pixels from the centre.

    The light of a point is shared linearly among the four pixels around it.
    """
    radius = math.ceil(max(float(rows.abs().max()), float(cols.abs().max())))
    pixels = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = [(1 - (pixels[:, None] - positions).abs()).clamp_min(0) for positions in (rows, cols)]
    return normalise_kernel(weights[0] @ weights[1].T)


def _check_extent(value: float, name: str) -> None:
    if not (math.isfinite(value) and 0 < value <= 1000):
        raise UsageError(f"{name} is a number of pixels above 0, up to 1000, not {value:g}")


class CircularBlur(Physics):
    """y = k * x, y[i] = sum_j k[c + j] x[i - j] with c the centre of k, in periodic images of any size.

    Each channel is convolved with the kernel k, [kh, kw], which wraps around where it is larger than the image; with
    K = F k, A is F^H K F. Raises UsageError for an even side.
    """

    def __init__(self, kernel: Tensor) -> None:
        if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
            raise UsageError(f"a kernel has a height and a width that are odd, not {list(kernel.shape)}")
        self._kernel = kernel.to(torch.float64)

    @override
    def A(self, x: Tensor) -> Tensor:
        return image_of(self._transfer(x) * spectrum_of(x), x)

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return image_of(self._transfer(y).conj() * spectrum_of(y), y)

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        transfer = self._transfer(z)
        spectrum = transfer.conj() * spectrum_of(y) + gamma * spectrum_of(z)
        return image_of(spectrum / (transfer.abs() ** 2 + gamma), z)

    def _transfer(self, image: Tensor) -> Tensor:
        """Return K, with the centre of k at the first pixel, [H, W // 2 + 1]."""
        rows, cols = (side // 2 for side in self._kernel.shape)
        return transfer_function(self._kernel, (-rows, -cols), image)


class CroppedBlur(CircularBlur):
    """y = C (k * x), C the first h rows and w columns: nothing was observed beyond the edges of an image.

    Args:
        kernel: k, [kh, kw], of odd sides. Another side is a UsageError.
        size: H and W of x, larger than y by as much as the kernel sees beyond its edges, or more.
        observed: h and w.
        refills: how often `prox_l2` fills in the part that was not observed.
    """

    def __init__(self, kernel: Tensor, size: tuple[int, int], observed: tuple[int, int], refills: int) -> None:
        super().__init__(kernel)
        self._size, self._observed, self._refills = size, observed, refills

    @override
    def A(self, x: Tensor) -> Tensor:
        return self._cropped(super().A(x))

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        (height, width), (rows, cols) = self._size, self._observed
        return super().A_adjoint(pad(y, (0, width - cols, 0, height - rows)))

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Repeat the circular prox from x = z, with y continued by the blur of the current estimate.

        x = F^H ((conj(K) F filled + gamma F z) / (|K|^2 + gamma)),  filled = C^T y + (1 - C^T C) k * x. There is no
        closed form, but each of these is a step of majorisation-minimisation, and they converge to the minimum.
        """
        transfer = self._transfer(z)
        system = transfer.abs() ** 2 + gamma
        pull, spectrum = transfer.conj() / system, spectrum_of(z)
        anchor = gamma / system * spectrum
        for _ in range(self._refills):
            filled = image_of(transfer * spectrum, z)
            self._cropped(filled).copy_(y)
            spectrum = torch.addcmul(anchor, pull, spectrum_of(filled))
        return image_of(spectrum, z)

    def _cropped(self, image: Tensor) -> Tensor:
        """Return C x, a view."""
        rows, cols = self._observed
        return image[..., :rows, :cols]


def transfer_function(taps: Tensor, origin: tuple[int, int], image: Tensor) -> Tensor:
    """Return the Fourier transform of the filter with taps[r, c] at the offset origin + (r, c), for such images.

    Offsets are taken modulo the size, so that taps which wrap onto each other add up. Complex, [H, W // 2 + 1], with
    the image's precision and device.
    """
    height, width = image.shape[-2:]
    rows = (torch.arange(taps.shape[0]) + origin[0]) % height
    cols = (torch.arange(taps.shape[1]) + origin[1]) % width
    filled = torch.zeros(height, width, dtype=taps.dtype)
    filled.index_put_((rows[:, None], cols[None, :]), taps, accumulate=True)
    return spectrum_of(filled.to(image))


def spectrum_of(image: Tensor) -> Tensor:
    """Return F x of real images: [..., H, W] -> complex [..., H, W // 2 + 1]."""
    spectrum: Tensor = torch.fft.rfft2(image)
    return spectrum


def image_of(spectrum: Tensor, like: Tensor) -> Tensor:
    """Invert `spectrum_of`, for images of the height and width of `like`."""
    image: Tensor = torch.fft.irfft2(spectrum, like.shape[-2:])
    return image


def extend_periodic(images: Tensor, margin: int) -> Tensor:
    """Images extended at the bottom and right so that they can be repeated without a seam: [B, C, H, W], larger.

    The margin fades from the mirror image of one edge to that of the opposite one: with m rows in it, row H + t is
    (1 - w) x[H - 1 - t] + w x[m - 1 - t], w = (t + 1/2) / m. The first H rows and W columns are the image.

    Args:
        images: of any size.
        margin: the least number of rows and columns to add; a few more make the sides fast to transform.
    """
    return _extend(_extend(images, margin).mT, margin).mT.contiguous()


def _extend(images: Tensor, margin: int) -> Tensor:
    height = images.shape[-2]
    added = fast_size(height + margin) - height
    steps = torch.arange(added, device=images.device)
    weights = ((steps + 0.5) / added).to(images.dtype)[:, None]
    below, above = images[..., _mirrored(height + steps, height), :], images[..., _mirrored(steps - added, height), :]
    return torch.cat((images, torch.lerp(below, above, weights)), -2)


def _mirrored(positions: Tensor, length: int) -> Tensor:
    """Return indices within 0 .. length - 1 for positions of a line mirrored with its ends repeated, 1 0 0 1 2 .. ."""
    positions = positions % (2 * length)
    return torch.minimum(positions, 2 * length - 1 - positions)


def fast_size(least: int) -> int:
    """Return the first number from `least` on that has no prime factor above 5: quick to transform."""
    from scipy.fft import next_fast_len

    size: int = next_fast_len(least, real=True)
    return size
