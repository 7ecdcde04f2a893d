import numpy as np
import pytest
import torch
from skimage import data

from restorekit.errors import UsageError
from restorekit.physics.noise import add_gaussian_noise, estimate_sigma


def photograph(name: str) -> np.ndarray:
    return getattr(data, name)().astype(np.float32) / 255


def test_noise_has_the_given_sigma_and_is_not_clipped():
    noisy = add_gaussian_noise(torch.ones(1, 1, 200, 200), 0.1, torch.Generator().manual_seed(0))
    assert noisy.dtype == torch.float32
    assert noisy.std().item() == pytest.approx(0.1, rel=0.02)
    assert noisy.max() > 1.2


def test_arrays_and_tensors_get_the_same_noise():
    image = np.full((7, 9), 0.5, np.float32)
    array = add_gaussian_noise(image, 0.2, 3)
    tensor = add_gaussian_noise(torch.from_numpy(image), 0.2, torch.Generator().manual_seed(3))
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, tensor.numpy(), rtol=0, atol=1e-7)


def test_the_draw_does_not_depend_on_sigma():
    image = np.zeros((5, 6, 3), np.float32)
    np.testing.assert_allclose(3 * add_gaussian_noise(image, 0.1, 1), add_gaussian_noise(image, 0.3, 1), rtol=1e-5)


def test_a_generator_draws_new_noise_each_time():
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(8)
    assert not torch.equal(add_gaussian_noise(image, 1, generator), add_gaussian_noise(image, 1, generator))


@pytest.mark.parametrize("name", ["camera", "astronaut", "coins", "page"])
@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_estimate_on_photographs(name, sigma):
    noisy = add_gaussian_noise(photograph(name), sigma / 255, 0)
    assert 255 * estimate_sigma(noisy) == pytest.approx(sigma, abs=0.3 + 0.015 * sigma)


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_estimate_on_noise_clipped_to_8_bits(name):
    noisy = add_gaussian_noise(photograph(name), 25 / 255, 0)
    stored = np.rint(np.clip(noisy, 0, 1) * 255) / 255
    assert 255 * estimate_sigma(stored) == pytest.approx(25, abs=1.5)


def test_black_borders_do_not_count():
    noisy = add_gaussian_noise(photograph("camera")[100:356, 100:356], 15 / 255, 0)
    framed = np.pad(np.clip(noisy, 0, 1), ((80, 80), (0, 0)))
    assert 255 * estimate_sigma(framed) == pytest.approx(15, abs=1)


def test_estimate_scales_with_the_image():
    noisy = add_gaussian_noise(photograph("camera"), 0.1, 0)
    assert estimate_sigma(0.3 * noisy) == pytest.approx(0.3 * estimate_sigma(noisy), rel=1e-3)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (3, 80), (7, 7, 3), (30, 9), (16, 16), (40, 40, 3)])
def test_estimate_on_small_images(shape):
    sigmas = [estimate_sigma(add_gaussian_noise(np.full(shape, 0.5, np.float32), 0.1, seed)) for seed in range(30)]
    assert np.mean(sigmas) == pytest.approx(0.1, rel=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2, 3), (1, 50), (8, 8), (40, 30), (40, 30, 3)])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_image_has_no_noise(shape, value):
    assert estimate_sigma(np.full(shape, value, np.float32)) == pytest.approx(0, abs=1e-6)


def test_patches_with_nan_are_left_out():
    noisy = add_gaussian_noise(photograph("camera"), 0.1, 0)
    noisy[200:210, 100] = np.nan
    noisy[300, 300] = np.inf
    assert estimate_sigma(noisy) == pytest.approx(0.1, abs=0.002)
    assert estimate_sigma(np.full((20, 20), np.nan)) == 0
    assert estimate_sigma(np.full((2, 20), np.nan)) == 0


def test_a_large_image_gives_the_same_answer_twice():
    noisy = add_gaussian_noise(np.tile(photograph("camera"), (3, 3)), 0.1, 0)
    first = estimate_sigma(noisy)
    assert first == estimate_sigma(noisy) == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize("shape", [(5,), (0, 4), (1, 3, 9, 9)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(UsageError, match="not on shape"):
        estimate_sigma(np.zeros(shape))
