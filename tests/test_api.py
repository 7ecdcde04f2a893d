import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import restorekit
from restorekit import zoo
from restorekit._version import __version__
from restorekit.errors import ModelMismatchError, UsageError
from restorekit.models import settings_json
from tests.tiny import tiny_network


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, zoo.LoadedModel]:
    """A grey and a colour model, saved and loaded."""
    folder = tmp_path_factory.mktemp("models")
    loaded = {}
    for channels in (1, 3):
        network = tiny_network(channels)
        architecture, settings = settings_json(network)
        card = zoo.ModelCard(
            name=f"tiny-{channels}",
            architecture=architecture,
            settings=settings,
            task="denoise",
            channels=channels,
            level_range=(0, 75),
            parameters=sum(tensor.numel() for tensor in network.state_dict().values()),
            description="for tests",
            recipe="none",
            recipe_sha256="0" * 64,
            training_data="none",
            steps=1,
            package_version=__version__,
            licence="BSD-3-Clause",
        )
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
def test_what_is_no_image_is_refused(models: dict[int, zoo.LoadedModel], image: object, error: type) -> None:
    with pytest.raises(error):
        restorekit.denoise(image, 25, model=models[1])


@pytest.mark.parametrize("shape", [(20, 31), (20, 31, 3)])
def test_deblocking_keeps_shape_and_type(models: dict[int, zoo.LoadedModel], shape: tuple[int, ...]) -> None:
    model = replace(models[1], card=replace(models[1].card, task="deblock", level_range=(5, 95)))
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


@pytest.mark.parametrize("sigma", [0, -1, float("nan"), 1e6])
def test_noise_levels_outside_the_models_are_refused(models: dict[int, zoo.LoadedModel], sigma: float) -> None:
    with pytest.raises(UsageError, match="75"):
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


def test_the_package_is_lazy_and_lists_what_it_offers() -> None:
    script = "import sys, restorekit; print('torch' in sys.modules, sorted(dir(restorekit)))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split()[0] == "False"
    assert "denoise" in done.stdout
    with pytest.raises(AttributeError):
        restorekit.nothing  # noqa: B018
