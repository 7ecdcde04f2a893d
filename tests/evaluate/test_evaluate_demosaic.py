import importlib.util

import numpy as np
import pytest
from skimage import data

from restorekit.errors import MissingExtraError, UnsupportedImageError, UsageError
from restorekit.evaluate import DEMOSAICKERS, BayerMosaic, demosaicker
from restorekit.image import Metadata, Picture
from restorekit.numerics.metrics import psnr
from restorekit.physics.mosaic import bayer_mask
from restorekit.types import BayerPattern

CLEAN = data.astronaut()[80:150, 170:251].astype(np.float32) / 255
RGGB = BayerPattern.RGGB
PACKAGES = {"opencv": "cv2", "menon": "colour_demosaicing"}


def test_the_mosaic_is_what_the_image_holds_and_grey_images_are_of_no_use():
    degradation = BayerMosaic((RGGB,))
    observed = degradation.observe(CLEAN, RGGB, seed=0)
    mask = bayer_mask(*CLEAN.shape[:2], RGGB).numpy().astype(bool)
    np.testing.assert_array_equal(observed, CLEAN[mask].reshape(observed.shape))
    assert degradation.describe(RGGB).value == "rggb"
    picture = Picture((CLEAN * 255).round().astype(np.uint8), Metadata("png"))
    np.testing.assert_array_equal(degradation.prepare(picture), CLEAN)
    with pytest.raises(UnsupportedImageError, match="nothing to demosaic"):
        degradation.prepare(Picture(picture.pixels[..., 0], Metadata("png")))


@pytest.mark.parametrize("pattern", list(BayerPattern))
@pytest.mark.parametrize(("name", "least"), [("bilinear", 28), ("malvar", 34), ("opencv", 28), ("menon", 34)])
def test_they_read_each_pattern_as_it_is(name, least, pattern):
    """In the wrong pattern, none gets above 25 dB."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    observed = BayerMosaic((pattern,)).observe(CLEAN, pattern, seed=0)
    estimate = demosaicker(name)(observed, pattern)
    assert estimate.shape == CLEAN.shape
    assert estimate.dtype == np.float32
    assert psnr(np.clip(estimate, 0, 1), CLEAN) > least


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="'median'; choose bilinear, malvar, opencv, menon"):
        demosaicker("median")
    assert DEMOSAICKERS == ("bilinear", "malvar", "opencv", "menon")


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_not_installed_names_its_extra(monkeypatch, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == PACKAGES[name] else find(wanted))
    with pytest.raises(MissingExtraError, match=rf"{name} needs .*pip install 'restorekit\[baselines\]'"):
        demosaicker(name)
