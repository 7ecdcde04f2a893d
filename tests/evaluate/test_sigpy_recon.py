"""SigPy's reconstructions as baselines: its conventions are made ours, and where it is missing its extra is named."""

import importlib.util

import pytest
import torch
from skimage import data

from restorekit.errors import MissingExtraError
from restorekit.evaluate.sigpy_recon import sigpy_recon
from restorekit.numerics.metrics import psnr
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling
from restorekit.types import SamplingPattern

NAMES = ("sigpy-tv", "sigpy-wavelet")


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_they_beat_zero_filling(name, real):
    pytest.importorskip("sigpy", exc_type=ImportError)
    x = 3 * torch.from_numpy(data.shepp_logan_phantom()[::8, 2:-2:8].copy()).float()[None, None]
    if not real:
        x = torch.cat((x, -0.5 * x), 1)
    physics = (SampledFourierOfReal if real else SampledFourier)(
        Sampling(SamplingPattern.RADIAL, 0.4).mask(*x.shape[2:], 0)
    )
    y = physics.A(x)
    estimate = sigpy_recon(name, 0.0)(physics, y)
    assert (estimate.shape, estimate.dtype) == (x.shape, torch.float32)
    assert psnr(estimate.numpy(), x.numpy()) > psnr(physics.A_adjoint(y).numpy(), x.numpy()) + 1
    assert torch.equal(sigpy_recon(name, 0.0)(physics, 0 * y), 0 * x)


@pytest.mark.parametrize("name", NAMES)
def test_sigpy_that_is_not_installed_names_its_extra(monkeypatch, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == "sigpy" else find(wanted))
    with pytest.raises(MissingExtraError, match=r"pip install 'restorekit\[baselines\]'"):
        sigpy_recon(name, 0.0)
