"""PSNR and SSIM of an estimate, in float64 on the scale [0, 1]."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError

SSIM_WINDOW = 11
"""Width of the SSIM window in pixels: a Gaussian of standard deviation 1.5 cut at 3.5 of them (5 on either side)."""

Image = Tensor | NDArray[Any]


def psnr(estimate: Image, reference: Image) -> float:
    """Return 10 log10(1 / MSE) in dB, with the mean over every element; infinite when the two are equal.

    Both have the same shape, which may be any. A batch gives one number: score its images one at a time for the mean of
    their PSNRs. Raises UsageError if the shapes differ or there are no elements.
    """
    x, y = _float64(estimate, reference)
    mse = float(np.mean(np.square(x - y)))
    return -10 * math.log10(mse) if mse != 0 else math.inf


def ssim(estimate: Image, reference: Image) -> float:
    """Return the structural similarity of one image, averaged over channels and over the windows inside the image.

    (2 mu_x mu_y + c1)(2 s_xy + c2) / ((mu_x^2 + mu_y^2 + c1)(s_x^2 + s_y^2 + c2)), with means, variances and covariance
    under a Gaussian window of standard deviation 1.5, c1 = 0.01^2 and c2 = 0.03^2. Both are arrays [H, W] or [H, W, C],
    or both tensors [H, W] or [C, H, W]. Source: Wang, Bovik, Sheikh and Simoncelli, Image Quality Assessment: From
    Error Visibility to Structural Similarity, section III. Raises UsageError if the shapes differ, it is not one image,
    or a side is shorter than `SSIM_WINDOW`.
    """
    from skimage.metrics import structural_similarity

    x, y = _float64(estimate, reference)
    if x.ndim not in (2, 3):
        raise UsageError(f"SSIM compares one image of two or three dimensions, not shape {x.shape}")
    channel_axis = None if x.ndim == 2 else 0 if isinstance(estimate, Tensor) else 2
    height, width = x.shape[1:] if channel_axis == 0 else x.shape[:2]
    if min(height, width) < SSIM_WINDOW:
        raise UsageError(f"SSIM needs an image of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels, not {width}x{height}")
    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(x, y, channel_axis=channel_axis, **options))  # type: ignore[no-untyped-call]


def _float64(*images: Image) -> list[NDArray[np.float64]]:
    shapes = [tuple(image.shape) for image in images]
    if shapes[0] != shapes[1] or not math.prod(shapes[0]):
        raise UsageError(
            f"an estimate of shape {shapes[0]} cannot be compared with a reference of shape {shapes[1]}; "
            "they must be equal and not empty"
        )
    arrays = [image.detach().cpu().numpy() if isinstance(image, Tensor) else image for image in images]
    return [np.asarray(array, np.float64) for array in arrays]
