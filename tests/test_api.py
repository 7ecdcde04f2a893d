"""The functions of the package: arrays and tensors in, the same kind of array out."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import restorekit
from restorekit import zoo
from restorekit.errors import ModelMismatchError, UnsupportedImageError, UsageError
from restorekit.models import settings_json
from restorekit.physics.blur import gaussian_kernel
from restorekit.physics.kspace import Sampling
from restorekit.types import SamplingPattern
from tests.cards import bare_card
from tests.mosaic_network import CARD, Interpolator
from tests.tiny import tiny_network


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, zoo.LoadedModel]:
    """A grey and a colour model, saved and loaded."""
    folder = tmp_path_factory.mktemp("models")
    loaded = {}
    for channels in (1, 3):
        network = tiny_network(channels)
        architecture, settings = settings_json(network)
        card = bare_card(f"tiny-{channels}", "denoise", channels, (0, 75))
        card = replace(card, architecture=architecture, settings=settings)
        path = folder / f"{card.name}.safetensors"
        zoo.save_weights(path, network.state_dict(), card)
        loaded[channels] = restorekit.load(str(path))
    return loaded


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3), (1, 1), (1, 40), (3, 2, 3)])
def test_an_array_keeps_shape_and_type(models: dict[int, zoo.LoadedModel], shape: tuple[int, ...], dtype: type) -> None:
    scale = 1 if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    noisy = (np.random.default_rng(0).random(shape) * scale).astype(dtype)
    clean = restorekit.denoise(noisy, 25, model=models[3 if len(shape) == 3 else 1])
    assert (clean.shape, clean.dtype) == (noisy.shape, noisy.dtype)
    assert clean.max() > 0


@pytest.mark.parametrize("shape", [(20, 31), (1, 20, 31), (3, 20, 31), (2, 3, 20, 31)])
def test_a_tensor_gives_what_its_array_gives(models: dict[int, zoo.LoadedModel], shape: tuple[int, ...]) -> None:
    noisy = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    colour = len(shape) > 2 and shape[-3] == 3
    clean = restorekit.denoise(noisy, 25, model=models[3 if colour else 1])
    assert clean.shape == noisy.shape
    one = noisy[0] if len(shape) == 4 else noisy
    array = np.moveaxis(one.numpy(), 0, -1) if colour else one.numpy().reshape(20, 31)
    expected = restorekit.denoise(np.ascontiguousarray(array), 25, model=models[3 if colour else 1])
    found = clean[0] if len(shape) == 4 else clean
    found_array = np.moveaxis(found.numpy(), 0, -1) if colour else found.numpy().reshape(20, 31)
    assert np.allclose(found_array, expected, atol=1e-6)


def test_eight_and_sixteen_bits_and_floats_tell_the_same_picture(models: dict[int, zoo.LoadedModel]) -> None:
    bytes_ = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    from_bytes = restorekit.denoise(bytes_, 25, model=models[1])
    from_words = restorekit.denoise(bytes_.astype(np.uint16) * 257, 25, model=models[1])
    from_floats = restorekit.denoise(bytes_.astype(np.float32) / 255, 25, model=models[1])
    assert np.abs(from_words / 257 - from_bytes).max() <= 0.51
    assert np.abs(from_floats * 255 - from_bytes).max() <= 0.51


def test_sigma_and_quality_and_tile_take_effect(models: dict[int, zoo.LoadedModel]) -> None:
    noisy = np.random.default_rng(0).random((40, 40))
    results = [
        restorekit.denoise(noisy, 10, model=models[1]),
        restorekit.denoise(noisy, 50, model=models[1]),
        restorekit.denoise(noisy, "auto", model=models[1]),
        restorekit.denoise(noisy, 10, model=models[1], quality="fast"),
    ]
    for sigma in (np.float32(25), np.int64(25)):
        assert np.array_equal(
            restorekit.denoise(noisy, sigma, model=models[1]), restorekit.denoise(noisy, 25, model=models[1])
        )
    for index, result in enumerate(results):
        assert all(not np.array_equal(result, other) for other in results[index + 1 :])
    assert np.allclose(restorekit.denoise(noisy, 10, model=models[1], tile=16), results[0], atol=1e-5)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((4, 4, 2)), UsageError),
        (np.zeros((0, 4)), UsageError),
        (np.zeros((4, 4), np.int64), UsageError),
        (np.full((4, 4), np.nan), UsageError),
        (torch.zeros(2, 5, 4, 4), UsageError),
        (torch.zeros(0, 1, 4, 4), UsageError),
        (torch.zeros(4, 4, dtype=torch.bfloat16), UsageError),
        (np.zeros((8, 8, 3)), ModelMismatchError),
    ],
)
def test_arrays_that_are_no_images_are_refused(models: dict[int, zoo.LoadedModel], image: object, error: type) -> None:
    with pytest.raises(error):
        restorekit.denoise(image, 25, model=models[1])


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_deblocking_keeps_shape_and_type(models: dict[int, zoo.LoadedModel], shape: tuple[int, ...]) -> None:
    model = replace(models[1], card=replace(models[1].card, task="deblock", conditioning_range=(5, 95)))
    compressed = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    strong, weak = (restorekit.deblock(compressed, quality, model=model, tile=16) for quality in (10, 90))
    assert (strong.shape, strong.dtype) == (compressed.shape, np.uint8)
    assert not np.array_equal(strong, weak)
    tensor = torch.from_numpy(np.moveaxis(compressed, -1, 0) if len(shape) == 3 else compressed)
    assert restorekit.deblock(tensor, 10, model=model).shape == tensor.shape
    np.testing.assert_array_equal(restorekit.deblock(compressed, np.int64(10), model=model, tile=16), strong)
    for quality in (0, 101, 10.5, "10", None):
        with pytest.raises(UsageError, match="from 1 to 100"):
            restorekit.deblock(compressed, quality, model=model)
    with pytest.raises(ModelMismatchError, match="not to deblock"):
        restorekit.deblock(compressed, 10, model=models[1])


@pytest.mark.parametrize(
    ("sigma", "message"), [(0, "above 0"), (-1, "above 0"), (float("nan"), "above 0"), (1e6, "above 0 up to 75")]
)
def test_a_sigma_that_the_model_was_not_made_for_is_refused(
    models: dict[int, zoo.LoadedModel], sigma: float, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        restorekit.denoise(np.zeros((8, 8)), sigma, model=models[1])


@pytest.mark.parametrize(
    ("sigma", "quality", "message"), [("loud", "best", "auto"), (25, "good", "balanced"), (None, "best", "auto")]
)
def test_arguments_that_make_no_sense_are_refused(sigma: object, quality: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        restorekit.denoise(np.zeros((8, 8)), sigma, quality=quality)
    with pytest.raises(UsageError, match="NumPy"):
        restorekit.denoise("img.png", 25)


def test_a_device_that_is_not_there_is_refused(models: dict[int, zoo.LoadedModel]) -> None:
    for device in ("tpu", "cuda:99"):
        with pytest.raises(UsageError, match=device.partition(":")[0]):
            restorekit.denoise(np.zeros((8, 8)), 25, model=models[1], device=device)
    with pytest.raises(UsageError, match="16"):
        restorekit.denoise(np.zeros((8, 8)), 25, model=models[1], tile=3)


INTERPOLATOR = zoo.LoadedModel(CARD, Interpolator(), Path("interpolator"))
MOSAIC = np.random.default_rng(0).integers(0, 256, (12, 15)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_demosaicking_gives_colour_of_the_same_type(dtype):
    scale = np.iinfo(dtype).max // 255 if np.issubdtype(dtype, np.integer) else 1 / 255
    colour = restorekit.demosaic((MOSAIC.astype(np.float64) * scale).astype(dtype), "grbg", model=INTERPOLATOR)
    assert (colour.shape, colour.dtype) == ((12, 15, 3), dtype)
    expected = restorekit.demosaic(MOSAIC, "grbg", model=INTERPOLATOR)
    np.testing.assert_allclose(colour / scale, expected, atol=0.51)


def test_demosaicking_a_tensor_gives_what_its_array_gives():
    expected = np.moveaxis(restorekit.demosaic(MOSAIC, "grbg", model=INTERPOLATOR), 2, 0)
    tensor = torch.from_numpy(MOSAIC)
    for image in (tensor, tensor[None], torch.stack([tensor[None]] * 2)):
        colour = restorekit.demosaic(image, "grbg", model=INTERPOLATOR)
        assert colour.shape == (*image.shape[:-3], 3, 12, 15)
        assert colour.dtype == torch.uint8
        np.testing.assert_array_equal(colour if colour.ndim == 3 else colour[1], expected)


def test_mosaics_and_patterns_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="pattern rgbg: use one of rggb, bggr, grbg, gbrg"):
        restorekit.demosaic(MOSAIC, "rgbg", model=INTERPOLATOR)
    with pytest.raises(UsageError, match="quality good"):
        restorekit.demosaic(MOSAIC, "rggb", model=INTERPOLATOR, quality="good")
    with pytest.raises(UnsupportedImageError, match="a colour picture"):
        restorekit.demosaic(np.zeros((8, 8, 3)), "rggb", model=INTERPOLATOR)


IMAGE = np.random.default_rng(0).integers(0, 256, (20, 31)).astype(np.uint8)


@pytest.fixture
def model(models):
    """The grey model."""
    return models[1]


@pytest.mark.parametrize("kernel", ["gaussian:1", gaussian_kernel(1), 5 * gaussian_kernel(1).float().numpy()])
def test_deblurring_takes_a_kernel_by_name_and_as_numbers(model, kernel):
    expected = restorekit.deblur(IMAGE, gaussian_kernel(1), noise=2, iterations=2, model=model)
    sharp = restorekit.deblur(IMAGE, kernel, noise=2, iterations=2, model=model)
    assert (sharp.shape, sharp.dtype) == (IMAGE.shape, np.uint8)
    assert np.abs(sharp.astype(int) - expected).max() <= 1
    assert np.abs(sharp.astype(int) - IMAGE).max() > 1
    tensor = restorekit.deblur(torch.from_numpy(IMAGE)[None, None], kernel, noise=2, iterations=2, model=model)
    assert np.array_equal(tensor[0, 0].numpy(), sharp)


def test_noise_iterations_and_boundary_take_effect(model):
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
        ({"noise": "loud"}, "noise loud is not a noise level"),
        ({"noise": 80}, "from 0 to 75"),
        ({"iterations": 0}, "1 or more"),
        ({"quality": "good"}, "balanced"),
    ],
)
def test_blurs_and_scales_that_make_no_sense_are_refused(model, arguments, message):
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


def test_the_package_is_lazy_and_lists_what_it_offers() -> None:
    script = "import sys, restorekit; print('torch' in sys.modules, sorted(dir(restorekit)))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split()[0] == "False"
    assert "denoise" in done.stdout
    with pytest.raises(AttributeError):
        restorekit.nothing  # noqa: B018
