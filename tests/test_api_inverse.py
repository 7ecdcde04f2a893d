"""`restorekit.deblur`, `restorekit.superres` and `restorekit.cs_mri`."""

from pathlib import Path

import numpy as np
import pytest
import torch

import restorekit
from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.physics.blur import gaussian_kernel
from restorekit.physics.kspace import Sampling
from restorekit.types import SamplingPattern
from restorekit.zoo import LoadedModel
from tests.cards import bare_card
from tests.tiny import tiny_network

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 31)).astype(np.uint8)


@pytest.fixture(scope="module")
def model():
    network = tiny_network(1)
    return LoadedModel(bare_card("tiny", "denoise", 1, (0, 75)), network, Path("tiny"))


@pytest.mark.parametrize("kernel", ["gaussian:1", gaussian_kernel(1), 5 * gaussian_kernel(1).float().numpy()])
def test_deblurring_takes_a_kernel_by_name_and_as_numbers(model, kernel):
    expected = restorekit.deblur(IMAGE, gaussian_kernel(1), noise=2, iterations=2, model=model)
    sharp = restorekit.deblur(IMAGE, kernel, noise=2, iterations=2, model=model)
    assert (sharp.shape, sharp.dtype) == (IMAGE.shape, np.uint8)
    assert np.abs(sharp.astype(int) - expected).max() <= 1
    assert np.abs(sharp.astype(int) - IMAGE).max() > 1
    tensor = restorekit.deblur(torch.from_numpy(IMAGE)[None, None], kernel, noise=2, iterations=2, model=model)
    assert np.array_equal(tensor[0, 0].numpy(), sharp)


def test_what_is_said_of_the_blur_counts(model):
    def deblurred(**arguments):
        return restorekit.deblur(IMAGE, "gaussian:1", model=model, **arguments)

    results = [
        deblurred(noise=2, iterations=2),
        deblurred(noise=9, iterations=2),
        deblurred(noise="auto", iterations=2),
        deblurred(noise=2, iterations=3),
        deblurred(noise=2, iterations=2, boundary="circular"),
    ]
    for index, result in enumerate(results):
        assert all(not np.array_equal(result, other) for other in results[index + 1 :])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_makes_images_larger(model, scale):
    large = restorekit.superres(IMAGE, scale, iterations=1, model=model)
    assert (large.shape, large.dtype) == ((20 * scale, 31 * scale), np.uint8)
    tensors = restorekit.superres(
        torch.from_numpy(IMAGE / 255)[None].expand(2, -1, -1, -1), scale, iterations=1, model=model
    )
    assert tensors.shape == (2, 1, 20 * scale, 31 * scale)
    assert tensors.dtype == torch.float64
    assert np.abs(255 * tensors[1, 0].numpy() - large).max() < 0.51


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": torch.ones(2, 3)}, "no centre"),
        ({"kernel": [[1.0]]}, "a kernel is an array"),
        ({"kernel": "box:3"}, "gaussian:SIGMA"),
        ({"kernel": np.ones((41, 41))}, "larger than the picture"),
        ({"boundary": "mirror"}, "open, circular"),
        ({"noise": "loud"}, "noise must be a number"),
        ({"noise": 80}, "from 0 to 75"),
        ({"iterations": 0}, "1 or more"),
        ({"quality": "good"}, "balanced"),
    ],
)
def test_what_makes_no_sense_is_refused(model, arguments, message):
    with pytest.raises(UsageError, match=message):
        restorekit.deblur(IMAGE, **{"kernel": "gaussian:1", "model": model} | arguments)
    with pytest.raises(UsageError, match="use one of 2, 3, 4"):
        restorekit.superres(IMAGE, 5, model=model)
    with pytest.raises(UsageError, match="use one of 2, 3, 4"):
        restorekit.superres(IMAGE, "4")


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("method", ["tv", "denoiser"])
def test_a_part_of_k_space_gives_the_image(model, centred, method):
    image = (np.hypot(*np.mgrid[-12:12, -14:14]) < 9) * (1 + 0.5j)
    mask = Sampling(SamplingPattern.RADIAL, 0.6).mask(*image.shape, 0).numpy()
    kspace = np.fft.fft2(image, norm="ortho") * mask
    if centred:
        kspace, mask, image = np.fft.fftshift(kspace), np.fft.fftshift(mask), np.fft.fftshift(image)
    arguments = {"centred": centred, "model": model if method == "denoiser" else "tv"}
    found = restorekit.cs_mri(kspace, mask, **arguments)
    assert (found.shape, found.dtype) == (image.shape, np.complex64)
    assert np.linalg.norm(found - image) < 0.25 * np.linalg.norm(image)
    tensors = restorekit.cs_mri(torch.from_numpy(kspace).expand(2, -1, -1), torch.from_numpy(mask), **arguments)
    np.testing.assert_allclose(tensors[1].numpy(), found, atol=1e-4)
    np.testing.assert_allclose(restorekit.cs_mri(kspace, **arguments), found, atol=0.2)


def test_k_space_that_makes_no_sense_is_refused():
    kspace = np.ones((8, 8), np.complex128)
    with pytest.raises(UsageError, match="complex numbers"):
        restorekit.cs_mri(kspace.real, model="tv")
    with pytest.raises(UsageError, match="a mask must be"):
        restorekit.cs_mri(kspace, kspace, model="tv")
    with pytest.raises(UsageError, match="NaN"):
        restorekit.cs_mri(np.nan * kspace, model="tv")
    with pytest.raises(UnsupportedImageError, match="must be equal"):
        restorekit.cs_mri(kspace, np.ones((8, 7)), model="tv")
    with pytest.raises(UnsupportedImageError, match="zero wherever"):
        restorekit.cs_mri(kspace, np.zeros((8, 8)), model="tv")
