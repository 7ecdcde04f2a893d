import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from skimage import data

from restorekit.errors import UsageError
from restorekit.numerics.metrics import SSIM_WINDOW, psnr, ssim


def noisy_pair(shape: tuple[int, ...], sigma: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    clean = rng.random(shape)
    return clean + sigma * rng.standard_normal(shape), clean


def test_psnr_of_a_known_error():
    clean = np.zeros((4, 5, 3), np.float32)
    assert psnr(clean + np.float32(0.1), clean) == pytest.approx(20, abs=1e-5)


def test_psnr_is_infinite_for_equal_images():
    assert psnr(np.ones((3, 3)), np.ones((3, 3))) == math.inf


def test_psnr_of_nan_is_nan():
    assert math.isnan(psnr(np.full((2, 2), np.nan), np.ones((2, 2))))


def test_psnr_adds_up_in_float64():
    clean = torch.zeros(1, 3, 1000, 1000)
    assert psnr(clean + 1e-4, clean) == pytest.approx(80, abs=1e-6)


def test_tensors_and_arrays_agree():
    estimate, clean = noisy_pair((20, 30, 3))
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in (estimate, clean)]
    assert psnr(tensors[0].requires_grad_(), tensors[1]) == pytest.approx(psnr(estimate, clean))
    assert ssim(*tensors) == pytest.approx(ssim(estimate, clean))


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_different_shapes_are_refused(measure):
    with pytest.raises(UsageError, match=r"\(12, 12\) cannot be compared with a reference of shape \(12, 12, 1\)"):
        measure(np.zeros((12, 12)), np.zeros((12, 12, 1)))


def test_an_empty_image_is_refused():
    with pytest.raises(UsageError, match="not empty"):
        psnr(np.zeros((0, 3)), np.zeros((0, 3)))


def test_ssim_is_wangs_formula():
    estimate, clean = noisy_pair((16, 19))
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    bell = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(bell, bell) / bell.sum() ** 2

    def mean(image: np.ndarray) -> np.ndarray:
        margin = SSIM_WINDOW // 2
        return convolve(image, window)[margin:-margin, margin:-margin]

    mx, my = mean(estimate), mean(clean)
    vx, vy, cov = mean(estimate**2) - mx**2, mean(clean**2) - my**2, mean(estimate * clean) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(estimate, clean) == pytest.approx(expected.mean(), abs=1e-10)


def test_ssim_of_colour_is_the_mean_over_channels():
    clean = data.astronaut()[:64, :64] / 255
    estimate = clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)
    each = [ssim(estimate[..., channel], clean[..., channel]) for channel in range(3)]
    assert ssim(estimate, clean) == pytest.approx(np.mean(each))
    assert ssim(clean, clean) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shape", "message"), [((10, 40), "at least 11x11 pixels, not 40x10"), ((2, 3, 20, 20), "one")]
)
def test_ssim_refuses_images_smaller_than_its_window(shape, message):
    with pytest.raises(UsageError, match=message):
        ssim(np.zeros(shape), np.zeros(shape))
