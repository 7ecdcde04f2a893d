"""Magnetic resonance imaging with one coil: a Fourier transform of which only some frequencies were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.physics.base import Physics
from restorekit.physics.noise import add_gaussian_noise
from restorekit.types import SamplingPattern


class SampledFourier(Physics):
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


Mask = NDArray[np.bool_]

CENTRE_SHARE = 0.08
"""Of the phase-encode lines: those around the centre that Cartesian sampling always takes, as fastMRI's masks do at a
fourfold acceleration."""
DENSITY_POWER = 3.0
"""Of random sampling: its density falls as (1 - distance from the centre)^3."""


@dataclass(frozen=True)
class Sampling:
    """A pattern and the share of all frequencies, in (0, 1], that it measures.

    Raises:
        UsageError: another share.
    """

    pattern: SamplingPattern
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(
                f"a share of {self.share:g} cannot be sampled; use a number above 0 up to 1, as in radial:0.3"
            )

    def mask(self, height: int, width: int, seed: int = 0) -> Tensor:
        """The mask, bool [H, W], zero frequency at [0, 0]; `seed` plays no part in a radial one."""
        if self.pattern is SamplingPattern.RADIAL:
            centred = radial_mask(height, width, self.share)
        elif self.pattern is SamplingPattern.CARTESIAN:
            centred = cartesian_mask(height, width, self.share, seed)
        else:
            centred = random_mask(height, width, self.share, seed)
        return torch.from_numpy(np.fft.ifftshift(centred))


def radial_mask(height: int, width: int, share: float) -> Mask:
    """Straight lines through the centre at equal angles, as many as reach the share; zero frequency at the centre.

    The rasterised lines of `radial_lines`. One line more or less changes the share by about 1 / max(H, W).
    """
    low, high = 1, 4 * max(height, width)
    while low < high:
        lines = (low + high) // 2
        if radial_lines(height, width, lines).mean() >= share:
            high = lines
        else:
            low = lines + 1
    mask = radial_lines(height, width, low)
    # The first row and column are Nyquist's, which no line reaches: a share of one needs them all the same.
    return mask if mask.mean() >= share else np.ones_like(mask)


def radial_lines(height: int, width: int, lines: int) -> Mask:
    """[H, W], true on `lines` lines through the centre at the angles pi k / lines, zero frequency at [H//2, W//2].

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


def cartesian_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Whole columns (phase-encode lines): the central ones, and others drawn uniformly; zero frequency at the centre.

    `CENTRE_SHARE` of the columns, but at most half of those sampled, are the centre. Knoll et al., fastMRI: A Publicly
    Available Raw k-Space and DICOM Dataset of Knee Images, 2020.
    """
    count = max(1, round(share * width))
    central = max(1, min(round(CENTRE_SHARE * width), (count + 1) // 2))
    first = width // 2 - central // 2
    others = np.setdiff1d(np.arange(width), np.arange(first, first + central))
    drawn = np.random.default_rng(seed).choice(others, count - central, replace=False)
    mask = np.zeros((height, width), bool)
    mask[:, first : first + central] = True
    mask[:, drawn] = True
    return mask


def random_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Single frequencies, denser towards the centre, which is always sampled; zero frequency at the centre.

    Exactly round(share H W) of them are drawn without replacement, with odds (1 - r)^3 + 0.01, r the distance from the
    centre over that of the corners. Lustig, Donoho and Pauly, Sparse MRI, 2007, section on sampling.
    """
    y = (np.arange(height) - height // 2) / max(height / 2, 1)
    x = (np.arange(width) - width // 2) / max(width / 2, 1)
    distance = np.hypot(y[:, None], x[None]) / math.sqrt(2)
    odds = np.clip(1 - distance, 0, 1) ** DENSITY_POWER + 0.01
    # Gumbel's trick: the largest of log(odds) + noise are a draw without replacement.
    keys = np.log(odds) + np.random.default_rng(seed).gumbel(size=odds.shape)
    keys[height // 2, width // 2] = np.inf
    count = max(1, round(share * height * width))
    mask = np.zeros(height * width, bool)
    mask[np.argpartition(-keys.ravel(), count - 1)[:count]] = True
    return mask.reshape(height, width)


_WINDOW = 16
"""The part of each side that is looked at is one in so many, on either side of the zero frequency."""


def centredness(weights: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    """The mean weight around the middle less that around [0, 0], over their sum: in [-1, 1], 0 where nothing tells.

    weights: [H, W]; of k-space its absolute values, of a mask itself. Both are largest around the zero frequency.
    """
    middle = _around_middle(weights)
    corner = _around_middle(np.fft.fftshift(weights))
    total = middle + corner
    return (middle - corner) / total if total > 0 else 0.0


def _around_middle(weights: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    spans = [(side // 2, max(1, side // _WINDOW)) for side in weights.shape]
    rows, columns = (slice(max(middle - reach, 0), middle + reach + 1) for middle, reach in spans)
    return float(weights[rows, columns].mean(dtype=np.float64))


Slices = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A mask that was read, [H, W] or [1, W], and where it has zero frequency; None: to be guessed."""

    values: NDArray[np.bool_]
    centred: bool | None = None

    @property
    def share(self) -> float:
        """Of the frequencies that are sampled, in [0, 1]."""
        return float(self.values.mean())

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """The mask [H, W], zero frequency at [0, 0], and remarks. Raises UnsupportedImageError for another shape."""
        if self.values.shape not in ((height, width), (1, width)):
            raise UnsupportedImageError(
                f"the mask is of shape {list(self.values.shape)}, but k-space of {[height, width]}; they must be equal"
            )
        notes: tuple[str, ...] = ()
        centred = self.centred
        if centred is None:
            centred = centredness(self.values) >= 0
            notes = (f"mask taken as {describe_order(centred)}",)
        values = np.broadcast_to(self.values, (height, width))
        if centred:
            values = np.fft.ifftshift(values, axes=(0, 1) if len(self.values) > 1 else 1)
        return torch.from_numpy(values.copy()), notes


@dataclass(frozen=True)
class DrawnMask:
    """A mask that is made for each size; see `Sampling.mask`."""

    sampling: Sampling
    seed: int

    @property
    def share(self) -> float:
        """Of the frequencies that are sampled, in (0, 1], about."""
        return self.sampling.share

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """The mask [H, W], zero frequency at [0, 0], and which share of it is sampled."""
        drawn = self.sampling.mask(height, width, self.seed)
        return drawn, (f"{100 * float(drawn.float().mean()):.1f} % of k-space sampled",)


MaskSource = MaskFile | DrawnMask


@dataclass(frozen=True, eq=False)
class Samples:
    """Slices of k-space [S, H, W] with zero frequency at [0, 0], zero where the mask [H, W] is.

    centred: whether the file had it in the middle, and so the middle of the image for its origin. notes: for the user.
    """

    slices: Slices
    mask: Tensor
    centred: bool
    notes: tuple[str, ...]


def arrange(slices: Slices, source: MaskSource | None, centred: bool | None) -> Samples:
    """What a file holds, in order.

    Args:
        slices: [S, H, W], not all zero.
        source: of the mask; None where k-space is zero in all slices is what was not measured.
        centred: where zero frequency is, None to guess it.

    Raises:
        UnsupportedImageError: mask and k-space do not fit, or the mask takes none of what was measured.
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
    """In words, with the option that says otherwise."""
    if centred:
        return "centred, zero frequency in the middle (--not-centred if it is at [0, 0])"
    return "not centred, zero frequency at [0, 0] (--centred if it is in the middle)"
