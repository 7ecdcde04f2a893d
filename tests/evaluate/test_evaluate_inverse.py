"""Blur and low resolution as degradations, and the methods they are measured with."""

import numpy as np
import pytest
import torch
from skimage import data

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.evaluate import BicubicDownsampling, GaussianBlur, deblur_baseline, enlarger, evaluate_methods
from restorekit.image import Metadata, Picture
from restorekit.numerics.metrics import psnr
from restorekit.physics.blur import gaussian_kernel

KERNEL = gaussian_kernel(2)
NOISE = 2.55 / 255


def picture(height, width):
    return Picture(data.astronaut()[100 : 100 + height, 150 : 150 + width], Metadata("png"))


def test_baselines_deblur():
    degradation = GaussianBlur((NOISE,), KERNEL, "gaussian:2")
    assert "gaussian:2, 13x13 pixels" in degradation.protocol
    clean = degradation.prepare(picture(96, 100))
    observed = degradation.observe(clean, NOISE, 0)
    assert np.array_equal(observed, degradation.observe(clean, NOISE, 0))
    figures = [psnr(deblur_baseline(name, KERNEL)(observed, NOISE), clean) for name in ("blurred", "wiener", "tv")]
    assert figures[0] + 1 < figures[1] < figures[2]
    for name in ("richardson-lucy", "unsupervised-wiener"):
        estimate = deblur_baseline(name, KERNEL)(observed, NOISE)
        assert (estimate.shape, estimate.dtype) == (clean.shape, np.float32)
        assert psnr(estimate, clean) > figures[0] + 0.5
    for name in ("wiener", "tv", "richardson-lucy", "unsupervised-wiener"):
        assert np.isfinite(deblur_baseline(name, KERNEL)(observed, 0.0)).all()


def test_grey_and_colour_are_measured(folder):
    kernel = gaussian_kernel(0.5)
    methods = [deblur_baseline(name, kernel) for name in ("blurred", "wiener")]
    evaluation = evaluate_methods(folder, GaussianBlur((0.0, 0.1), kernel, "gaussian:0.5"), methods)
    assert [level.label for level in evaluation.levels] == ["noise 0", "noise 25.5"]
    evaluation = evaluate_methods(folder, BicubicDownsampling((2, 3)), [enlarger("bicubic")])
    assert [level.label for level in evaluation.levels] == ["x2", "x3"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_low_resolution_is_that_of_torch(scale):
    degradation = BicubicDownsampling((scale,))
    clean = degradation.prepare(picture(50, 40))
    assert clean.shape == (48, 36, 3)
    low = torch.nn.functional.interpolate(
        torch.from_numpy(clean).permute(2, 0, 1)[None], scale_factor=1 / scale, mode="bicubic", align_corners=False
    )
    assert degradation.observe(clean, scale, 0) == pytest.approx(low[0].permute(1, 2, 0).numpy(), abs=1e-6)
    assert enlarger("bicubic")(low[0, 0].numpy(), scale).shape == (48, 36)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="use one of 2, 3, 4"):
        BicubicDownsampling((2, 5))
    with pytest.raises(UsageError, match="at least 0"):
        GaussianBlur((-0.1,), KERNEL, "k")
    with pytest.raises(UsageError, match="choose blurred, wiener, tv"):
        deblur_baseline("nlm", KERNEL)
    with pytest.raises(UsageError, match="choose bicubic"):
        enlarger("lanczos")
    with pytest.raises(UnsupportedImageError, match="smaller than the kernel"):
        GaussianBlur((NOISE,), KERNEL, "k").prepare(picture(12, 40))
    with pytest.raises(UnsupportedImageError, match="less than 12"):
        BicubicDownsampling((2,)).prepare(picture(11, 40))
