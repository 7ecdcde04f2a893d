"""Deblurring by the shipped grey denoiser and by trained models, kernels, and the scene beyond the edges."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import rescale

from restorekit.errors import ModelMismatchError, UsageError
from restorekit.inference.plug_and_play import Trajectory
from restorekit.models import Measurement
from restorekit.numerics.metrics import psnr
from restorekit.physics.blur import (
    CircularBlur,
    extend_periodic,
    fast_size,
    gaussian_kernel,
    motion_kernel,
    normalise_kernel,
)
from restorekit.tasks import get_task
from restorekit.tasks.base import Run, check_noise, noise_of
from restorekit.tasks.deblur import DeblurOptions, Deblurring
from restorekit.types import Boundary, Quality, RunSettings
from restorekit.zoo import load_model
from tests.trained import trained_solver, waves

MODEL = load_model(Path(__file__).parents[2] / "weights" / "denoise-gray-sc.safetensors")
KERNEL = gaussian_kernel(0.8)
NOISE = 0.02


def run(model, quality=Quality.FAST, tile=None, *, iterations=None, watch=None):
    models = get_task("deblur").select(None, model)
    return Run(models, RunSettings(quality, "cpu", tile), iterations, watch)


@pytest.fixture(scope="module")
def photo():
    return rescale(data.camera(), 0.35).astype(np.float32)[20:116, 40:136]


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [gaussian_kernel(1.5), motion_kernel(9, 30)])
def test_deblurring_gains_decibels(photo, kernel):
    whole = CircularBlur(kernel).observe(torch.from_numpy(photo)[None, None], 2 / 255, 0)[0, 0].numpy()
    watch = Trajectory(photo)
    estimate, report = Deblurring(kernel, 2 / 255, MODEL, run(MODEL, watch=watch), Boundary.CIRCULAR)(whole)
    assert report.tiles > 0
    assert psnr(estimate, photo) > psnr(whole, photo) + 2
    assert len(watch.residuals) == len(watch.psnrs) == 8
    inner = (slice(12, -12), slice(12, -12))
    cut = np.ascontiguousarray(whole[inner])
    open_, _ = Deblurring(kernel, 2 / 255, MODEL, run(MODEL), Boundary.OPEN)(cut)
    circular, _ = Deblurring(kernel, 2 / 255, MODEL, run(MODEL), Boundary.CIRCULAR)(cut)
    assert open_.shape == cut.shape
    assert psnr(open_, photo[inner]) > psnr(cut, photo[inner]) + 1
    assert psnr(open_, photo[inner]) > psnr(circular, photo[inner]) + 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 4), (6, 5, 3)])
def test_an_extension_keeps_the_image_and_has_no_seam(shape):
    image = torch.rand(1, shape[2] if len(shape) == 3 else 1, *shape[:2], generator=torch.Generator().manual_seed(0))
    extended = extend_periodic(image, 8)
    assert all(side >= 8 + given for side, given in zip(extended.shape[-2:], shape, strict=False))
    assert torch.equal(extended[..., : shape[0], : shape[1]], image)
    ramp = torch.linspace(0, 1, 50).expand(1, 1, 4, 50)
    line = extend_periodic(ramp, 20)[0, 0, 0]
    assert float((line.roll(-1) - line).abs().max()) < 0.15


def test_fast_sizes():
    assert [fast_size(size) for size in (1, 7, 11, 97, 1025)] == [1, 8, 12, 100, 1080]


def test_kernels():
    gaussian = gaussian_kernel(2)
    assert gaussian.shape == (13, 13)
    assert float(gaussian.sum()) == pytest.approx(1)
    assert torch.equal(gaussian, gaussian.flip(0, 1))
    flat, steep = motion_kernel(5, 0), motion_kernel(5, 90)
    assert torch.allclose(flat, steep.T)
    assert torch.allclose(
        flat[3], torch.tensor([0.025, 0.175, 0.2, 0.2, 0.2, 0.175, 0.025], dtype=torch.float64), atol=0.01
    )
    rising = motion_kernel(9, 45)
    assert float(rising[1, -2] + rising[-2, 1]) > 0
    assert float(rising[1, 1]) == 0
    with pytest.raises(UsageError, match="no centre"):
        normalise_kernel(torch.ones(2, 3))


def test_noise_is_named_or_estimated():
    greatest = get_task("deblur").greatest_noise(MODEL.card)
    assert noise_of(np.zeros((9, 9), np.float32), 0.1, greatest) == (0.1, ())
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (64, 64)).astype(np.float32)
    noise, notes = noise_of(noisy, None, greatest)
    assert noise == pytest.approx(0.1, rel=0.1)
    assert notes[0].startswith("noise estimated as sigma 2")


@pytest.mark.parametrize("dual", [True, False])
@pytest.mark.parametrize("contrast", [0.2, 0.6])  # The latter makes estimates that leave [0, 1].
def test_a_trained_model_gives_what_its_network_does(dual, contrast):
    trained, blurred = trained_solver("deblur", dual=dual), waves(contrast)
    y = torch.from_numpy(blurred)[None, None]
    sigma = torch.tensor([NOISE])
    expected = trained.network.reconstruct(Measurement(y, y, sigma, sigma, CircularBlur(KERNEL)), 2, 160)
    its_run = run(trained, Quality.BALANCED, 160)
    found, report = Deblurring(KERNEL, NOISE, trained, its_run, Boundary.CIRCULAR)(blurred)
    np.testing.assert_allclose(found, expected.clamp(0, 1)[0, 0].numpy(), atol=1e-5)
    assert report.tiles > 0


def test_one_repeated_step_stops_where_little_changes():
    trained = trained_solver("deblur", "jfb", dual=True)
    trained.network.log_rho.add_(20)  # The prior has all the weight, and x moves no more.
    changes = []
    its_run = run(trained, Quality.BALANCED, 160, watch=lambda x, change: changes.append(change))
    Deblurring(KERNEL, NOISE, trained, its_run, Boundary.CIRCULAR)(waves())
    assert len(changes) <= 3


def test_the_number_of_iterations_is_that_of_training():
    trained, options = trained_solver("deblur"), DeblurOptions("gaussian:0.8")
    get_task("deblur").prepare(options, run(trained, iterations=3))
    with pytest.raises(UsageError, match=r"deblur-tiny was trained for 3 iterations, not 8; name a denoiser"):
        get_task("deblur").prepare(options, run(trained, iterations=8))


def test_noise_beyond_a_model_is_refused():
    trained = trained_solver("deblur")
    with pytest.raises(UsageError, match=r"from 0 to 12 .* or name a denoiser"):
        check_noise(13 / 255, run(trained).models.cards(), get_task("deblur").greatest_noise)
    with pytest.raises(UsageError, match=r"from 0 to 12 .* or name a denoiser"):
        get_task("deblur").prepare(DeblurOptions("gaussian:0.8", "13"), run(trained))
    with pytest.raises(UsageError, match="from 0 to 75"):
        check_noise(76 / 255, run(MODEL).models.cards(), get_task("deblur").greatest_noise)


def test_models_of_another_task_are_refused():
    with pytest.raises(ModelMismatchError, match="deblur-tiny is a model to deblur, not to superres"):
        get_task("superres").select(None, trained_solver("deblur"))
    with pytest.raises(ModelMismatchError, match="not to denoise"):
        get_task("denoise").select(None, trained_solver("deblur"))
    with pytest.raises(ModelMismatchError, match="restores nothing else"):
        _ = trained_solver("deblur").patch_network
