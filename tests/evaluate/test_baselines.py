import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from skimage import data

from restorekit.errors import MissingExtraError, UsageError
from restorekit.evaluate import BASELINES, baseline
from restorekit.numerics.metrics import psnr
from restorekit.physics.noise import add_gaussian_noise

CROPS = {
    "grey": data.camera()[100:190, 180:280].astype(np.float32) / 255,
    "colour": data.astronaut()[80:150, 170:250].astype(np.float32) / 255,
}


def test_their_names():
    assert BASELINES == ("noisy", "tv", "nlm", "bm3d")


@pytest.mark.parametrize("kind", CROPS)
@pytest.mark.parametrize(("level", "least"), [(5, 1), (25, 5), (50, 7)])
@pytest.mark.parametrize("name", ["tv", "nlm"])
def test_they_take_noise_away(name, kind, level, least):
    clean = CROPS[kind]
    noisy = add_gaussian_noise(clean, level / 255, 0)
    denoised = baseline(name)(noisy, level / 255)
    assert denoised.shape == clean.shape
    assert denoised.dtype == np.float32
    assert psnr(denoised, clean) > psnr(noisy, clean) + least


@pytest.mark.parametrize("name", ["noisy", "tv", "nlm"])
def test_without_noise_the_image_is_left_alone(name):
    clean = CROPS["grey"]
    np.testing.assert_array_equal(baseline(name)(clean, 0.0), clean)


def test_noisy_is_the_input():
    noisy = add_gaussian_noise(CROPS["grey"], 0.2, 0)
    np.testing.assert_array_equal(baseline("noisy")(noisy, 0.2), noisy)


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="'median'; choose noisy, tv, nlm, bm3d"):
        baseline("median")


def test_bm3d_that_is_not_installed_names_its_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bm3d" else find(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'restorekit\[baselines\]'.*non-commercial"):
        baseline("bm3d")


def test_bm3d_is_called_for_grey_and_for_colour(monkeypatch):
    """With a stand-in for the package, whose licence keeps it out of the development set-up."""
    calls = []
    package = ModuleType("bm3d")
    package.__spec__ = importlib.util.spec_from_loader("bm3d", None)
    package.bm3d = lambda image, sigma: calls.append(("bm3d", sigma)) or image.astype(np.float64)
    package.bm3d_rgb = lambda image, sigma: calls.append(("bm3d_rgb", sigma)) or image.astype(np.float64)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    for image in CROPS.values():
        assert baseline("bm3d")(image, 0.1).dtype == np.float32
    assert calls == [("bm3d", 0.1), ("bm3d_rgb", 0.1)]
