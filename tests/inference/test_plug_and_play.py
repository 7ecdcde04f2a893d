"""Denoisers as the prior of a solver, schedules, and memory that runs out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import rescale

from restorekit.errors import MemoryExhaustedError, UsageError
from restorekit.inference.plug_and_play import TiledDenoiser, solve
from restorekit.solvers.admm import Splitting
from restorekit.tasks.deblur import deblur_splitting
from restorekit.types import Quality, RunSettings
from restorekit.zoo import load_model
from tests.trained import trained_solver

WEIGHTS = Path(__file__).parents[2] / "weights"
FAST = RunSettings(Quality.FAST, "cpu")


@pytest.fixture(scope="module")
def photo():
    return rescale(data.camera(), 0.35).astype(np.float32)[20:116, 40:136]


def test_the_denoiser_takes_a_sigma_an_image(photo):
    denoiser = TiledDenoiser(load_model(WEIGHTS / "denoise-gray-sc.safetensors"), FAST)
    images = torch.from_numpy(photo)[None, None, :32, :32].expand(2, -1, -1, -1)
    estimates = denoiser(images, torch.tensor([0.02, 0.2]))
    alone = denoiser(images[:1], torch.tensor([0.02]))
    assert torch.equal(estimates[:1], alone)
    assert not torch.allclose(estimates[0], estimates[1], atol=1e-3)


def test_a_network_of_convolutions_is_given_whole_cells(photo):
    """Their mirror image, without a second copy of the last row and column, and nothing of it comes back."""
    image, sigma = torch.from_numpy(photo)[None, None, :29, :37].contiguous(), torch.tensor([0.05])
    denoiser = TiledDenoiser(load_model(WEIGHTS / "denoise-gray-unet.safetensors"), FAST)
    continued = torch.nn.functional.pad(image, (0, 3, 0, 3), mode="reflect")
    torch.testing.assert_close(denoiser(image, sigma), denoiser(continued, sigma)[..., :29, :37])


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


def test_memory_that_the_allocator_of_the_cpu_lacks_is_told():
    def prox(z: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    trained = trained_solver("deblur")
    splitting = deblur_splitting(trained)
    with pytest.raises(MemoryExhaustedError, match="does not fit into memory"):
        solve(trained, prox, torch.zeros(1, 1, 20, 20), 0.02, splitting, RunSettings(Quality.BALANCED, "cpu", 160))
