"""How close an estimate is to the truth: PSNR and SSIM, both in float64 on the scale [0, 1]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from restorekit.errors import UsageError

SSIM_WINDOW = 11
"""Width of the SSIM window in pixels: a Gaussian of standard deviation 1.5 cut at 3.5 of them (5 on either side)."""

Image = Tensor | npt.NDArray[Any]


def psnr(estimate: Image, reference: Image) -> float:
    """10 log10(1 / MSE) in dB, the mean taken over every element; infinite when the two are equal.

    Any shape, the same for both. A batch gives one number, so score its images one at
    a time where the mean over images of their PSNRs is wanted.

    Raises:
        UsageError: the shapes differ, or there are no elements.
    """
    _check_shapes(estimate, reference)
    difference = _float64(estimate) - _float64(reference)
    mse = float(np.mean(np.square(difference)))
    return -10 * math.log10(mse) if mse != 0 else math.inf


def ssim(estimate: Image, reference: Image) -> float:
    """Structural similarity of one image, averaged over its channels and over the windows that lie inside it.

    (2 mu_x mu_y + c1)(2 s_xy + c2) / ((mu_x^2 + mu_y^2 + c1)(s_x^2 + s_y^2 + c2)), with means, variances and covariance
    under a Gaussian window of standard deviation 1.5, c1 = 0.01^2 and c2 = 0.03^2. Both are arrays [H, W] or [H, W, C],
    or both tensors [H, W] or [C, H, W]. Source: Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment: From
    Error Visibility to Structural Similarity, section III.

    Raises:
        UsageError: the shapes differ, it is not one image, or a side is shorter than `SSIM_WINDOW`.
    """
    from skimage.metrics import structural_similarity

    _check_shapes(estimate, reference)
    x, y = _channels_last(estimate), _channels_last(reference)
    if min(x.shape[:2]) < SSIM_WINDOW:
        raise UsageError(
            f"SSIM needs an image of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels, not {x.shape[1]}x{x.shape[0]}"
        )
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            x, y, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=-1
        )
    )


def _float64(image: Image) -> npt.NDArray[np.float64]:
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    return np.asarray(array, np.float64)


def _check_shapes(estimate: Image, reference: Image) -> None:
    if tuple(estimate.shape) != tuple(reference.shape) or not math.prod(estimate.shape):
        raise UsageError(
            f"an estimate of shape {tuple(estimate.shape)} cannot be compared with a reference of shape "
            f"{tuple(reference.shape)}; they must be equal and not empty"
        )


def _channels_last(image: Image) -> npt.NDArray[np.float64]:
    """[H, W], [H, W, C] arrays and [C, H, W] tensors -> [H, W, C]."""
    array = _float64(image)
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim != 3:
        raise UsageError(f"SSIM compares one image of two or three dimensions, not shape {tuple(image.shape)}")
    return np.moveaxis(array, 0, -1) if isinstance(image, Tensor) else array
