"""Gaussian noise: adding it, and estimating from an image alone how strong it is."""

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError

ImageT = TypeVar("ImageT", Tensor, NDArray[np.float32])

PATCH_SIZE = 8
MAX_PATCHES = 60_000
"""On larger images a random subset of patches is used, always the same for the same size."""
SMOOTHEST = 0.05
"""The share of the patches that sigma is estimated from."""
LEAST_CLIPPED = 0.2
"""The share of the patches that clipping can never exclude."""


def add_gaussian_noise(image: ImageT, sigma: float, generator: torch.Generator | int) -> ImageT:
    """Return x + sigma n with n standard normal, neither clipped nor rounded.

    A float32 tensor or array of any shape gives the same kind back; sigma is in [0, 1]. An integer in place of a
    generator is the seed of a new one. The draw depends on the generator and the shape alone, not on sigma.
    """
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    noise = torch.randn(tuple(image.shape), generator=generator, device=generator.device)
    if isinstance(image, Tensor):
        return image + sigma * noise.to(image.device)
    scaled: NDArray[np.float32] = (sigma * noise).cpu().numpy()
    return image + scaled


def estimate_sigma(image: NDArray[Any]) -> float:
    """Estimate sigma in [0, 1], over all channels: 0 for a constant image, and never NaN.

    sigma^2 is the mean energy of the high frequencies in the patches whose low frequencies hold the least energy. Every
    8x8 patch is transformed to its cosine coefficients (u, v). For white noise they are independent, so choosing the
    patches by 0 < u + v < 8 does not bias the energy measured at u + v >= 8, and it leaves out image detail, which
    seldom lives in high frequencies alone. Patches with clipped pixels, which cut off noise, are left out, and so are
    those with NaN. For noise that is not white (JPEG, resized or demosaicked images) the estimate is too low by the
    energy missing from the high frequencies.

    The image is [H, W] or [H, W, C] in [0, 1] or beyond. Raises UsageError for other dimensions or no pixels.
    Source: Colom and Buades, Analysis and Extension of the Ponomarenko et al. Method, Image Processing On Line 2013.
    The share of patches and the rule for clipping are this package's own, chosen on photographs for training.
    """
    if image.ndim not in (2, 3) or image.size == 0:
        raise UsageError(f"sigma is estimated on an image [H, W] or [H, W, C], not on shape {image.shape}")
    channels = image if image.ndim == 3 else image[:, :, None]
    if min(channels.shape[:2]) < PATCH_SIZE:
        # Median of |second differences| along the longer side, over that of a standard normal times sqrt(6).
        along = int(np.argmax(channels.shape[:2]))
        differences = np.diff(channels.astype(np.float64), n=2, axis=along)
        differences = differences[np.isfinite(differences)]
        return float(np.median(np.abs(differences))) / (0.67449 * 6**0.5) if differences.size else 0.0
    patches = _sample_patches(channels)
    patches = patches[np.isfinite(patches).all((1, 2, 3))]
    return _sigma_of_patches(patches) if len(patches) else 0.0


def _sample_patches(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return all patches or a random subset: [H, W, C] -> [N, C, p, p]."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH_SIZE, PATCH_SIZE), axis=(0, 1))
    rows, columns = windows.shape[:2]
    if rows * columns <= MAX_PATCHES:
        return windows.reshape(-1, *windows.shape[2:]).astype(np.float32)
    # Positions are random because a regular grid could fall in step with JPEG's blocks.
    generator = np.random.default_rng(0)
    sample = windows[generator.integers(rows, size=MAX_PATCHES), generator.integers(columns, size=MAX_PATCHES)]
    return sample.astype(np.float32)


def _sigma_of_patches(patches: NDArray[np.float32]) -> float:
    from scipy.fft import dctn

    # Pixels clipped to black or white share the extreme values. Noise in float has one pixel of each, so a patch may
    # hold one.
    clipped = ((patches == patches.min()) | (patches == patches.max())).sum((1, 2, 3))
    fit = patches[clipped <= max(1.0, float(np.quantile(clipped, LEAST_CLIPPED)))]
    energy = np.square(dctn(fit, axes=(2, 3), norm="ortho"))
    frequency = np.add.outer(np.arange(PATCH_SIZE), np.arange(PATCH_SIZE))
    detail = energy[:, :, (frequency > 0) & (frequency < PATCH_SIZE)].sum((1, 2))
    count = max(1, round(SMOOTHEST * len(patches)))
    smoothest = np.argsort(detail, kind="stable")[:count]
    return float(np.sqrt(energy[smoothest][:, :, frequency >= PATCH_SIZE].mean(dtype=np.float64)))
