"""Magnetic resonance imaging with one coil: a Fourier transform of which only some frequencies were measured."""

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.physics.base import Physics
from restorekit.physics.noise import add_gaussian_noise
from restorekit.types import SamplingPattern

Mask = NDArray[np.bool_]
Slices = NDArray[np.complex64]

CENTRE_SHARE = 0.08
"""The share of phase-encode lines around the centre that Cartesian sampling always takes, as fastMRI's masks do at a
fourfold acceleration."""
DENSITY_POWER = 3.0
"""The density of random sampling falls as (1 - distance from the centre)^3."""
_WINDOW = 16
"""`centredness` looks at one part in so many of each side, on either side of the zero frequency."""


class SampledFourier(Physics):
    """y = M F x, F the orthonormal two-dimensional Fourier transform, zero where a frequency was not measured.

    Complex images x and their k-space y are [B, 2, H, W], the real part first. A^T y is the reconstruction by
    zero-filling. mask: M, of zeros and ones, [H, W]; zero frequency at [0, 0]. spectrum: S = F A^T A F^-1, [H, W], here
    M itself. share: the sampling rate, in (0, 1]. Raises UsageError for any other mask, or an empty one.
    """

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim != 2 or not bool(((mask == 0) | (mask == 1)).all()):
            raise UsageError("a sampling mask is [H, W], of zeros and ones")
        if not bool((mask == 1).any()):
            raise UsageError("the sampling mask is empty: it measures nothing")
        self.mask = self.spectrum = mask
        self.share = float(mask.double().mean())

    @override
    def A(self, x: Tensor) -> Tensor:
        return channels_of(torch.fft.fft2(complex_of(x), norm="ortho")) * self.mask.to(x)

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return channels_of(torch.fft.ifft2(complex_of(y * self.mask.to(y)), norm="ortho"))

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Return z + F^-1 (F A^T (y - A z) / (S + gamma)), which keeps its precision where gamma is small.

        gamma may be [B, 1, H, W]: a weight of |F (x - z)|^2 for each frequency, which is the same at opposite ones for
        images known to be real.
        """
        weight = gamma[:, 0] if isinstance(gamma, Tensor) and gamma.ndim == 4 else gamma
        residual = complex_of(self.A_adjoint(y - self.A(z)))
        correction = torch.fft.fft2(residual, norm="ortho") / (self.spectrum.to(z) + weight)
        return z + channels_of(torch.fft.ifft2(correction, norm="ortho"))[:, : z.shape[1]]

    @override
    def observe(self, x: Tensor, sigma: float, generator: torch.Generator | int) -> Tensor:
        """Return M (F x + sigma n), n standard normal in the real and in the imaginary part."""
        return add_gaussian_noise(self.A(x), sigma, generator) * self.mask.to(x)


class SampledFourierOfReal(SampledFourier):
    """y = M F x for images known to be real, [B, 1, H, W]; y is [B, 2, H, W].

    The spectrum of a real image is the conjugate of itself at the opposite frequency, so that each sample gives two:
    S(k) = (M(k) + M(-k)) / 2.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        values = mask.to(torch.float64)
        self.spectrum = (values + values.flip((0, 1)).roll((1, 1), (0, 1))) / 2

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return super().A_adjoint(y)[:, :1]


def complex_of(channels: Tensor) -> Tensor:
    """Convert [B, 2, H, W] to complex [B, H, W], and [B, 1, H, W] to one whose imaginary part is zero."""
    real = channels[:, 0]
    return torch.complex(real, channels[:, 1] if channels.shape[1] == 2 else torch.zeros_like(real))


def channels_of(values: Tensor) -> Tensor:
    """Convert complex [B, H, W] to [B, 2, H, W]."""
    return torch.stack((values.real, values.imag), dim=1)


@dataclass(frozen=True)
class Sampling:
    """A pattern and its sampling rate: the share of all frequencies that it measures, in (0, 1], else a UsageError."""

    pattern: SamplingPattern
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            wanted = "use a number above 0 up to 1, as in radial:0.3"
            raise UsageError(f"a share of {self.share:g} cannot be sampled; {wanted}")

    def mask(self, height: int, width: int, seed: int = 0) -> Tensor:
        """Return the mask, bool [H, W], zero frequency at [0, 0]; a radial one does not depend on the seed."""
        draw = {SamplingPattern.CARTESIAN: _cartesian_mask, SamplingPattern.RANDOM: _random_mask}.get(self.pattern)
        centred = draw(height, width, self.share, seed) if draw else _radial_mask(height, width, self.share)
        return torch.from_numpy(np.fft.ifftshift(centred))


def _radial_mask(height: int, width: int, share: float) -> Mask:
    """Return the fewest `radial_lines` that reach the share; one line is about 1 / max(H, W) of it."""
    numbers = range(1, 4 * max(height, width))
    fewest = 1 + bisect_left(numbers, share, key=lambda lines: radial_lines(height, width, lines).mean())
    mask = radial_lines(height, width, fewest)
    # No line reaches the first row and column, Nyquist's, which a share of one needs as well.
    return mask if mask.mean() >= share else np.ones_like(mask)


def radial_lines(height: int, width: int, lines: int) -> Mask:
    """Return [H, W], true on `lines` lines through zero frequency, at [H//2, W//2], at the angles pi k / lines.

    A line takes one pixel a column, or one a row where it is steeper than a diagonal. On 256x256, 27, 55, 85, 117 and
    152 lines are the masks of 10 to 50 % that ADMM-Net (Yang et al. 2016) and ISTA-Net (Zhang and Ghanem 2018) are
    tested on.
    """
    mask = np.zeros((height, width), bool)
    columns = np.arange(-((width - 1) // 2), (width - 1) // 2 + 1)
    rows = np.arange(-((height - 1) // 2), (height - 1) // 2 + 1)
    for angle in np.arange(lines) * (math.pi / lines):
        across, down = width * math.cos(angle), height * math.sin(angle)
        if abs(down) <= abs(across):
            x, y = columns, np.rint(down / across * columns).astype(int)
        else:
            x, y = np.rint(across / down * rows).astype(int), rows
        inside = (np.abs(y) <= (height - 1) // 2) & (np.abs(x) <= (width - 1) // 2)
        mask[y[inside] + height // 2, x[inside] + width // 2] = True
    return mask


def _cartesian_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Return whole columns (phase-encode lines): the central ones, and others drawn uniformly.

    `CENTRE_SHARE` of the columns, but at most half of those sampled, are the centre. Knoll et al., fastMRI: A Publicly
    Available Raw k-Space and DICOM Dataset of Knee Images, 2020.
    """
    count = max(1, round(share * width))
    central = max(1, min(round(CENTRE_SHARE * width), (count + 1) // 2))
    first = width // 2 - central // 2
    others = np.setdiff1d(np.arange(width), np.arange(first, first + central))
    drawn = np.random.default_rng(seed).choice(others, count - central, replace=False)
    mask = np.zeros((height, width), bool)
    mask[:, first : first + central] = mask[:, drawn] = True
    return mask


def _random_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Return round(share H W) single frequencies, denser towards the centre, which is always sampled.

    They are drawn without replacement, with odds (1 - r)^3 + 0.01, r the distance from the centre over that of the
    corners. Lustig, Donoho and Pauly, Sparse MRI, 2007, section on sampling.
    """
    y = (np.arange(height) - height // 2) / max(height / 2, 1)
    x = (np.arange(width) - width // 2) / max(width / 2, 1)
    distance = np.hypot(y[:, None], x[None]) / math.sqrt(2)
    odds = np.clip(1 - distance, 0, 1) ** DENSITY_POWER + 0.01
    # Gumbel's trick: the largest of log(odds) + noise are a draw without replacement.
    keys = np.log(odds) + np.random.default_rng(seed).gumbel(size=odds.shape)
    keys[height // 2, width // 2] = np.inf
    count = max(1, round(share * height * width))
    mask = np.zeros((height, width), bool)
    mask.flat[np.argpartition(-keys.ravel(), count - 1)[:count]] = True
    return mask


def centredness(weights: NDArray[np.floating] | Mask) -> float:
    """Return (m - c) / (m + c), m and c the mean weights around the middle and around [0, 0]: 0 where both are zero.

    weights: [H, W], the magnitudes of k-space or a mask; both are largest around the zero frequency.
    """
    spans = [(side // 2, max(1, side // _WINDOW)) for side in weights.shape]
    around = tuple(slice(max(middle - reach, 0), middle + reach + 1) for middle, reach in spans)
    middle, corner = (float(w[around].mean(dtype=np.float64)) for w in (weights, np.fft.fftshift(weights)))
    return (middle - corner) / (middle + corner) if middle + corner > 0 else 0.0


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A mask from a file, [H, W] or [1, W]; centred: whether zero frequency is in the middle, None to guess it."""

    values: Mask
    centred: bool | None = None

    @property
    def share(self) -> float:
        """The sampling rate, in [0, 1]."""
        return float(self.values.mean())

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """Return the mask [H, W], zero frequency at [0, 0], and notes. Another shape is an UnsupportedImageError."""
        if self.values.shape not in ((height, width), (1, width)):
            shapes = f"the mask is of shape {list(self.values.shape)}, but k-space of {[height, width]}"
            raise UnsupportedImageError(f"{shapes}; they must be equal")
        notes: tuple[str, ...] = ()
        if (centred := self.centred) is None:
            centred = centredness(self.values) >= 0
            notes = (f"mask taken as {describe_order(centred)}",)
        values = np.broadcast_to(self.values, (height, width))
        if centred:
            values = np.fft.ifftshift(values, axes=(0, 1) if len(self.values) > 1 else 1)
        return torch.from_numpy(values.copy()), notes


@dataclass(frozen=True)
class DrawnMask:
    """A mask drawn for each size; see `Sampling.mask`."""

    sampling: Sampling
    seed: int

    @property
    def share(self) -> float:
        """The sampling rate, in (0, 1], that is aimed at."""
        return self.sampling.share

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """Return the mask [H, W], zero frequency at [0, 0], and a note of its sampling rate."""
        drawn = self.sampling.mask(height, width, self.seed)
        return drawn, (f"{100 * float(drawn.float().mean()):.1f} % of k-space sampled",)


MaskSource = MaskFile | DrawnMask


@dataclass(frozen=True, eq=False)
class Samples:
    """Slices of k-space [S, H, W] with zero frequency at [0, 0], zero where the mask [H, W] is.

    centred: whether the file had zero frequency in the middle, and so the origin of the image. notes: for the user.
    """

    slices: Slices
    mask: Tensor
    centred: bool
    notes: tuple[str, ...]


def arrange(slices: Slices, source: MaskSource | None, centred: bool | None) -> Samples:
    """Order the contents of a file, [S, H, W] and not all zero.

    Without a `source` of the mask, frequencies that are zero in all slices were not measured. `centred` says whether
    zero frequency is in the middle; None guesses it. Raises UnsupportedImageError if mask and k-space do not fit, or
    the mask takes no measured frequency.
    """
    notes: tuple[str, ...] = ()
    if centred is None:
        centred = centredness(np.abs(slices).max(0)) >= 0
        notes = (f"k-space taken as {describe_order(centred)}",)
    if centred:
        slices = np.fft.ifftshift(slices, axes=(1, 2))
    if source is None:
        mask = torch.from_numpy((slices != 0).any(0))
        share = 100 * float(mask.float().mean())
        notes += (f"no mask was named; the {share:.1f} % of k-space that are not zero are taken as measured",)
    else:
        mask, said = source.mask(*slices.shape[1:])
        notes += said
    slices = np.where(mask.numpy(), slices, np.complex64(0))
    if not slices.any():
        raise UnsupportedImageError("k-space is zero wherever the mask has a sample; is zero frequency in the middle?")
    return Samples(slices, mask, centred, notes)


def describe_order(centred: bool) -> str:
    """Describe where zero frequency is, with the option that says otherwise."""
    if centred:
        return "centred, zero frequency in the middle (--not-centred if it is at [0, 0])"
    return "not centred, zero frequency at [0, 0] (--centred if it is in the middle)"
