"""Blur as a circular convolution, diagonal under the Fourier transform."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from restorekit.errors import UsageError
from restorekit.physics.linear import LinearPhysics


class CircularBlur(LinearPhysics):
    """y = k * x, each channel convolved with the kernel as if the image went on periodically; of any size.

    y[i] = sum_j k[c + j] x[i - j], c the centre of the kernel. A kernel larger than the image wraps around.

    Args:
        kernel: k, [kh, kw], of odd sides.

    Raises:
        UsageError: an even side.
    """

    def __init__(self, kernel: Tensor) -> None:
        if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape):
            raise UsageError(f"a kernel has a height and a width that are odd, not {list(kernel.shape)}")
        self._kernel = kernel.to(torch.float64)

    def A(self, x: Tensor) -> Tensor:  # noqa: N802
        """F^H (K F x)."""
        return image_of(self._transfer(x) * spectrum_of(x), x)

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """F^H (conj(K) F y)."""
        return image_of(self._transfer(y).conj() * spectrum_of(y), y)

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """F^H ((conj(K) F y + gamma F z) / (|K|^2 + gamma))."""
        transfer = self._transfer(z)
        spectrum = transfer.conj() * spectrum_of(y) + gamma * spectrum_of(z)
        return image_of(spectrum / (transfer.abs() ** 2 + gamma), z)

    def _transfer(self, image: Tensor) -> Tensor:
        """K = F k with the centre of k at the first pixel, [H, W // 2 + 1]."""
        rows, cols = (side // 2 for side in self._kernel.shape)
        return transfer_function(self._kernel, (-rows, -cols), image)


class CroppedBlur(CircularBlur):
    """y = C (k * x), C the first h rows and w columns: nothing was observed beyond the edges of an image.

    Args:
        kernel: k, [kh, kw], of odd sides.
        size: H and W of x, larger than y by as much as the kernel sees beyond its edges, or more.
        observed: h and w.
        refills: how often `prox_l2` fills in what was not observed.

    Raises:
        UsageError: an even side.
    """

    def __init__(self, kernel: Tensor, size: tuple[int, int], observed: tuple[int, int], refills: int) -> None:
        super().__init__(kernel)
        self._size = size
        self._observed = observed
        self._refills = refills

    def A(self, x: Tensor) -> Tensor:  # noqa: N802
        """C F^H (K F x)."""
        return self._cropped(super().A(x))

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """F^H (conj(K) F C^T y), C^T y with zeros around."""
        (height, width), (rows, cols) = self._size, self._observed
        return super().A_adjoint(pad(y, (0, width - cols, 0, height - rows)))

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """The circular one, again and again, with y continued by what the estimate so far gives, from x = z on.

        x = F^H ((conj(K) F filled + gamma F z) / (|K|^2 + gamma)),  filled = C^T y + (1 - C^T C) k * x. Each is a step
        of majorisation-minimisation, and they come to the minimum: there is no closed form.
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
        """C x, a view."""
        rows, cols = self._observed
        return image[..., :rows, :cols]


def transfer_function(taps: Tensor, origin: tuple[int, int], image: Tensor) -> Tensor:
    """Fourier transform of the filter that has taps[r, c] at the offset origin + (r, c), for images of that size.

    Offsets are taken modulo the size, so that taps which wrap onto each other add up. Complex, [H, W // 2 + 1], of the
    image's precision and device.
    """
    height, width = image.shape[-2:]
    rows = (torch.arange(taps.shape[0]) + origin[0]) % height
    cols = (torch.arange(taps.shape[1]) + origin[1]) % width
    filled = torch.zeros(height, width, dtype=taps.dtype)
    filled.index_put_((rows[:, None], cols[None, :]), taps, accumulate=True)
    return spectrum_of(filled.to(image))


def spectrum_of(image: Tensor) -> Tensor:
    """F x of real images, [..., H, W] -> complex [..., H, W // 2 + 1]."""
    spectrum: Tensor = torch.fft.rfft2(image)
    return spectrum


def image_of(spectrum: Tensor, like: Tensor) -> Tensor:
    """The inverse of `spectrum_of`, for images of the height and width of `like`."""
    image: Tensor = torch.fft.irfft2(spectrum, like.shape[-2:])
    return image
