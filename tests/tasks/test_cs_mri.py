"""Methods to reconstruct MRI, the masks and noise they take, and k-space of any kind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.errors import ModelMismatchError, UnsupportedImageError, UsageError
from restorekit.image import Metadata, Picture
from restorekit.inference.mri import tv_reconstruction
from restorekit.inference.plug_and_play import Trajectory
from restorekit.models import build
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.cs_mri import TV, MriModels, SamplingOptions, parse_sampling
from restorekit.types import RunSettings, SamplingPattern
from restorekit.zoo import LoadedModel
from tests.cards import bare_card
from tests.installed import install
from tests.tiny import tiny_network

SETTINGS = RunSettings(device="cpu")
RADIAL = Sampling(SamplingPattern.RADIAL, 0.5).mask(24, 20, 0)
DENOISER = LoadedModel(bare_card("denoiser", "denoise", 1, (0, 75)), tiny_network(), Path("tiny"))


def trained(name):
    """Return a network of two steps, as if it had been trained for MRI."""
    network = build("cs-tv", {"channels": 1, "steps": 2, "knots": [0.0]})
    return LoadedModel(bare_card(name, "cs-mri", 1, (10, 50)), network.eval().requires_grad_(False), Path("tiny"))


@pytest.mark.parametrize(
    "text", ["radial", "radial:", "radial:x", "spiral:0.3", "radial:0", "radial:1.1", "radial:nan"]
)
def test_a_sampling_is_a_pattern_and_a_share(text):
    assert parse_sampling("cartesian:0.25", "--simulate") == (SamplingPattern.CARTESIAN, 0.25)
    with pytest.raises(UsageError, match="--simulate"):
        parse_sampling(text, "--simulate")


def test_a_mask_is_named_or_made():
    with pytest.raises(UsageError, match="exclude each other"):
        SamplingOptions(mask=Path("mask.npy"), simulate="radial:0.3").check()
    assert SamplingOptions().mask_source() is None


def test_total_variation_serves_where_the_default_model_is_missing(monkeypatch):
    models = install(monkeypatch)
    assert MriModels(None).name == TV
    default = get_task("cs-mri").models.general[1]
    models[default] = trained(default)
    monkeypatch.setattr("restorekit.zoo.find", lambda name, offline: name)
    monkeypatch.setattr("restorekit.zoo.load_model", models.__getitem__)
    assert MriModels(None).name == default


def test_models_that_cannot_reconstruct_are_refused():
    colour = LoadedModel(bare_card("colour", "denoise", 3, (0, 75)), tiny_network(3), Path("tiny"))
    deblocker = LoadedModel(bare_card("blocks", "deblock", 1, (5, 95)), tiny_network(), Path("tiny"))
    for model in (colour, deblocker):
        with pytest.raises(ModelMismatchError, match="a denoiser of grey images or tv would fit"):
            get_task("cs-mri").select(None, model)
    faint = LoadedModel(bare_card("faint", "denoise", 1, (0, 10)), tiny_network(), Path("tiny"))
    with pytest.raises(ModelMismatchError, match="has to remove noise from 1 to 50"):
        get_task("cs-mri").select(None, faint)


@pytest.mark.parametrize("model", [TV, DENOISER])
def test_iterations_are_chosen_and_at_least_one(model):
    models = MriModels(model)
    assert models.method(SETTINGS, 3).iterations == 3
    assert models.method(SETTINGS, None).iterations > 3
    with pytest.raises(UsageError, match="use 1 or more"):
        models.method(SETTINGS, 0)


def test_a_network_has_the_iterations_of_its_training():
    models = MriModels(trained("net"))
    assert models.method(SETTINGS, 2).iterations == 2
    with pytest.raises(UsageError, match="net was trained for 2 iterations, not 3"):
        models.method(SETTINGS, 3)


def test_a_denoiser_takes_the_noise_it_was_made_for():
    MriModels(DENOISER).method(SETTINGS, None).check_noise(75 / 255)
    MriModels(TV).method(SETTINGS, None).check_noise(1)
    with pytest.raises(UsageError, match="denoiser"):
        MriModels(DENOISER).method(SETTINGS, None).check_noise(76 / 255)


@pytest.mark.parametrize("model", [TV, DENOISER])
@pytest.mark.parametrize("kind", [SampledFourier, SampledFourierOfReal])
def test_black_k_space_becomes_a_black_image(model, kind):
    image, report = MriModels(model).method(SETTINGS, 2)(kind(RADIAL), torch.zeros(1, 2, 24, 20), 0.0)
    assert not image.any()
    assert report.device == "cpu"


@pytest.mark.parametrize("model", [TV, DENOISER])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_images_scale_with_k_space_and_watchers_see_the_last(model, scale):
    physics, method, trajectory = SampledFourierOfReal(RADIAL), MriModels(model).method(SETTINGS, 4), Trajectory()
    x = torch.rand(1, 1, 24, 20, generator=torch.Generator().manual_seed(0))
    y = physics.A(x)
    image, _ = method(physics, y, 0.0)
    scaled, _ = method(physics, scale * y, 0.0, trajectory)
    torch.testing.assert_close(scaled / scale, image, atol=1e-3, rtol=0)
    assert len(trajectory.residuals) == 4


def test_least_total_variation_keeps_the_samples():
    physics = SampledFourierOfReal(RADIAL)
    x = torch.zeros(1, 1, 24, 20)
    x[..., 6:16, 5:12] = 1
    y = physics.A(x)
    estimate = tv_reconstruction(physics, y, 0.0)
    assert float((estimate - x).square().mean()) < float((physics.A_adjoint(y) - x).square().mean()) / 4
    torch.testing.assert_close(physics.A(estimate), y, atol=2e-2, rtol=0)


def test_pictures_are_sampled_and_slices_are_not():
    task, options = get_task("cs-mri"), SamplingOptions(simulate="radial:0.5")
    operation = task.prepare(options, Run(task.select(options, TV), SETTINGS, 3))
    grey = Picture(np.random.default_rng(0).integers(0, 256, (24, 20), np.uint8), Metadata("png"))
    restored = operation(grey)
    assert restored.picture.pixels.shape == (24, 20)
    assert restored.parameters == (("noise", 0.0), ("iterations", 3))
    with pytest.raises(UnsupportedImageError, match="colour"):
        operation(Picture(np.zeros((24, 20, 3), np.uint8), Metadata("png")))
    scan = operation(np.ones((2, 24, 20), np.complex64))
    assert (scan.slices.shape, scan.slices.dtype) == ((2, 24, 20), np.complex64)
    assert scan.parameters == (("slices", 2), ("iterations", 3))
