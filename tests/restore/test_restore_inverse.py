"""Deblurring and enlarging with the shipped grey denoiser, and what is assumed beyond edges."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import rescale

from restorekit.errors import UsageError
from restorekit.inference.plug_and_play import Trajectory, ZooDenoiser, check_noise, noise_of
from restorekit.inference.runner import RunSettings
from restorekit.numerics.metrics import psnr
from restorekit.physics.blur import CircularBlur, gaussian_kernel, motion_kernel, normalise_kernel
from restorekit.restore.boundary import extend_periodic, fast_size
from restorekit.restore.deblur import deblur_array
from restorekit.restore.superres import SuperresArray, enlarge_bicubic, shrink_bicubic
from restorekit.solvers.admm import Splitting
from restorekit.types import Boundary, Quality
from restorekit.zoo import load_model
from restorekit.zoo.selection import PRIOR_TASK, ModelSelection

WEIGHTS = Path(__file__).parents[2] / "weights"
MODEL = load_model(WEIGHTS / "denoise-gray-sc.safetensors")
MODELS = ModelSelection(PRIOR_TASK, MODEL)
FAST = RunSettings(Quality.FAST, "cpu")


@pytest.fixture(scope="module")
def photo():
    return rescale(data.camera(), 0.35).astype(np.float32)[20:116, 40:136]


@pytest.mark.parametrize("kernel", [gaussian_kernel(1.5), motion_kernel(9, 30)])
def test_deblurring_gains_decibels(photo, kernel):
    whole = CircularBlur(kernel).observe(torch.from_numpy(photo)[None, None], 2 / 255, 0)[0, 0].numpy()
    watch = Trajectory(photo)
    estimate, report = deblur_array(whole, kernel, 2 / 255, MODEL, FAST, Boundary.CIRCULAR, watch=watch)
    assert report.tiles > 0
    assert psnr(estimate, photo) > psnr(whole, photo) + 2
    assert len(watch.residuals) == len(watch.psnrs) == 8
    inner = (slice(12, -12), slice(12, -12))
    cut = np.ascontiguousarray(whole[inner])
    open_, _ = deblur_array(cut, kernel, 2 / 255, MODEL, FAST, Boundary.OPEN)
    circular, _ = deblur_array(cut, kernel, 2 / 255, MODEL, FAST, Boundary.CIRCULAR)
    assert open_.shape == cut.shape
    assert psnr(open_, photo[inner]) > psnr(cut, photo[inner]) + 1
    assert psnr(open_, photo[inner]) > psnr(circular, photo[inner]) + 1


def test_enlarging_gains_over_bicubic(photo):
    small = shrink_bicubic(torch.from_numpy(photo)[None, None], 2)
    bicubic = enlarge_bicubic(small, 2)[0, 0].clamp(0, 1).numpy()
    estimate = SuperresArray(MODELS, FAST)(small[0, 0].numpy(), 2)
    assert psnr(estimate, photo) > psnr(bicubic, photo) + 0.2


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


def test_noise_levels():
    assert noise_of(np.zeros((9, 9), np.float32), 0.1, MODEL) == (0.1, ())
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (64, 64)).astype(np.float32)
    level, notes = noise_of(noisy, None, MODEL)
    assert level == pytest.approx(0.1, rel=0.1)
    assert notes[0].startswith("noise estimated as sigma 2")
    with pytest.raises(UsageError, match="from 0 to 75"):
        check_noise(76 / 255, MODELS)


def test_the_denoiser_takes_a_level_an_image(photo):
    images = torch.from_numpy(photo)[None, None, :32, :32].expand(2, -1, -1, -1)
    estimates = ZooDenoiser(MODEL, FAST)(images, torch.tensor([0.02, 0.2]))
    alone = ZooDenoiser(MODEL, FAST)(images[:1], torch.tensor([0.02]))
    assert torch.equal(estimates[:1], alone)
    assert not torch.allclose(estimates[0], estimates[1], atol=1e-3)


def test_a_network_of_convolutions_is_given_whole_cells(photo):
    """Their mirror image, without a second copy of the last row and column, and nothing of it comes back."""
    image, level = torch.from_numpy(photo)[None, None, :29, :37].contiguous(), torch.tensor([0.05])
    denoiser = ZooDenoiser(load_model(WEIGHTS / "denoise-gray-unet.safetensors"), FAST)
    continued = torch.nn.functional.pad(image, (0, 3, 0, 3), mode="reflect")
    torch.testing.assert_close(denoiser(image, level), denoiser(continued, level)[..., :29, :37])


def test_schedules_follow_the_noise():
    splitting = Splitting(4, first=0.2, last=1.0, weight=0.3, least_noise=0.01)
    assert splitting.schedule(0.05).sigmas[[0, -1]].tolist() == pytest.approx([0.2, 0.05])
    assert splitting.schedule(0.0).sigmas[-1] == pytest.approx(0.01)
    assert splitting.schedule(0.3).sigmas.tolist() == pytest.approx([0.3] * 4)
    constant = Splitting(4, first=0.2, last=None, weight=4.0, least_noise=0.01).schedule(0.0)
    assert constant.dual
    assert constant.rhos.tolist() == pytest.approx([0.01] * 4)
    with pytest.raises(UsageError, match="1 or more"):
        Splitting(0, 0.1, 1.0, 1.0, 0.01)
