"""Compressed sensing MRI by SigPy, which the extra `baselines` installs: total variation, and wavelets."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from restorekit.errors import MissingExtraError
from restorekit.physics.kspace import SampledFourier, channels_of, complex_of

SIGPY_RECONS = ("sigpy-tv", "sigpy-wavelet")

_TV_WEIGHT = 0.03
_WAVELET_WEIGHT = 0.003
"""Of the priors, for images whose zero-filling has a peak of 1: the best of 0.0003, 0.001, 0.003, 0.01 and, for total
variation, 0.03 and 0.1, with SigPy's own numbers of iterations, on two training slices, 30 % radial, without noise."""
_NOISE_WEIGHT = 0.7
"""Of the noise, where that is more, as with the total variation of `restore.cs_mri_tv`."""


def sigpy_recon(name: str, noise: float) -> Callable[[SampledFourier, Tensor], Tensor]:
    """One of `SIGPY_RECONS`, SigPy's `TotalVariationRecon` or `L1WaveletRecon`, as a function of physics and k-space.

    argmin_x 1/2 ||A x - y||^2 + lambda ||G x||_1 over complex images, G finite differences or a wavelet transform
    (Daubechies 4); of an image known to be real the real part is taken.

    noise: its standard deviation in the unit of k-space.

    Raises:
        MissingExtraError: SigPy is not installed.
    """
    if importlib.util.find_spec("sigpy") is None:
        raise MissingExtraError("SigPy is not installed: pip install 'restorekit[baselines]'")
    from sigpy.mri import app

    recon, least = {
        "sigpy-tv": (app.TotalVariationRecon, _TV_WEIGHT),
        "sigpy-wavelet": (app.L1WaveletRecon, _WAVELET_WEIGHT),
    }[name]

    def reconstruct(physics: SampledFourier, y: Tensor) -> Tensor:
        zero_filled = physics.A_adjoint(y)
        scale = float(zero_filled.norm(dim=1).max()) or 1.0
        # SigPy has the zero frequency in the middle, and the origin of images too.
        k_space, mask = (np.fft.fftshift(values.numpy()) for values in (complex_of(y)[0] / scale, physics.mask))
        weights = mask.astype(np.float32)[None]
        image = recon(
            k_space[None],
            np.ones_like(k_space)[None],
            max(least, _NOISE_WEIGHT * noise / scale),
            weights=weights,
            show_pbar=False,
        ).run()
        x = channels_of(torch.from_numpy(np.fft.ifftshift(image))[None])
        return scale * x[:, : zero_filled.shape[1]]

    return reconstruct
