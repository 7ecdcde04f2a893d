"""Magnetic resonance imaging with one coil: a Fourier transform of which only some frequencies were measured."""

from __future__ import annotations

import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.noise import add_gaussian_noise
from restorekit.physics.linear import LinearPhysics


class SampledFourier(LinearPhysics):
    """y = M F x, F the orthonormal two-dimensional Fourier transform, zero where a frequency was not measured.

    Complex images x and their k-space y are [B, 2, H, W], the real part first.

    Args:
        mask: M, of zeros and ones, [H, W]; zero frequency at [0, 0].

    Raises:
        UsageError: a mask of other values or dimensions, or without a single one.
    """

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim != 2 or not bool(((mask == 0) | (mask == 1)).all()):
            raise UsageError("a sampling mask is [H, W], of zeros and ones")
        if not bool((mask == 1).any()):
            raise UsageError("the sampling mask is empty: it measures nothing")
        self._mask = mask

    @property
    def mask(self) -> Tensor:
        """M, [H, W]."""
        return self._mask

    @property
    def share(self) -> float:
        """Of the frequencies, how many are measured: in (0, 1]."""
        return float(self._mask.double().mean())

    @property
    def spectrum(self) -> Tensor:
        """S = F A^T A F^-1, [H, W]: here M itself."""
        return self._mask

    def A(self, x: Tensor) -> Tensor:  # noqa: N802
        """M F x."""
        return channels_of(_fourier(x)) * self._mask.to(x)

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """F^-1 M y, the reconstruction by zero-filling."""
        return channels_of(_inverse(complex_of(y * self._mask.to(y))))

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Z + F^-1 (F A^T (y - A z) / (S + gamma)), which a small gamma does not rob of its digits.

        gamma may differ from frequency to frequency, as [B, 1, H, W], which weighs the squares of F (x - z); for images
        known to be real it is the same at opposite frequencies.
        """
        weight = gamma[:, 0] if isinstance(gamma, Tensor) and gamma.ndim == 4 else gamma
        correction = _fourier(self.A_adjoint(y - self.A(z))) / (self.spectrum.to(z) + weight)
        return z + channels_of(_inverse(correction))[:, : z.shape[1]]

    def observe(self, x: Tensor, sigma: float, generator: torch.Generator | int) -> Tensor:
        """M (F x + sigma n), n standard normal in the real and in the imaginary part."""
        measured = self.A(x)
        return add_gaussian_noise(measured, sigma, generator) * self._mask.to(x)


class SampledFourierOfReal(SampledFourier):
    """y = M F x for images known to be real, [B, 1, H, W]; y is [B, 2, H, W].

    The spectrum of a real image is the conjugate of itself at the opposite frequency, so that each sample tells two.
    """

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """Re F^-1 M y."""
        return super().A_adjoint(y)[:, :1]

    @property
    def spectrum(self) -> Tensor:
        """(M(k) + M(-k)) / 2."""
        mask = self._mask.to(torch.float64)
        opposite = mask.flip((0, 1)).roll((1, 1), (0, 1))
        return (mask + opposite) / 2


def complex_of(channels: Tensor) -> Tensor:
    """[B, 2, H, W] -> complex [B, H, W]; [B, 1, H, W] -> the same with imaginary part zero."""
    real = channels[:, 0]
    return torch.complex(real, channels[:, 1] if channels.shape[1] == 2 else torch.zeros_like(real))


def channels_of(values: Tensor) -> Tensor:
    """Complex [B, H, W] -> [B, 2, H, W]."""
    return torch.stack((values.real, values.imag), dim=1)


def _fourier(x: Tensor) -> Tensor:
    transformed: Tensor = torch.fft.fft2(complex_of(x), norm="ortho")
    return transformed


def _inverse(y: Tensor) -> Tensor:
    transformed: Tensor = torch.fft.ifft2(y, norm="ortho")
    return transformed
