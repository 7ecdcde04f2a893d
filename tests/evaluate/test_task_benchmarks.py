"""How each task degrades clean images, and the well-known methods it is compared with."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from skimage import data

from restorekit.errors import MissingExtraError, UnsupportedImageError, UsageError
from restorekit.evaluate import evaluate_methods
from restorekit.image import Metadata, Picture, recompress
from restorekit.numerics.metrics import psnr
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling
from restorekit.physics.mosaic import bayer_mask
from restorekit.physics.noise import add_gaussian_noise
from restorekit.types import BayerPattern, SamplingPattern
from tests.evaluate.benchmarks import benchmark, noise

GREY = data.camera()[100:190, 180:280].astype(np.float32) / 255
COLOUR = data.astronaut()[80:150, 170:251].astype(np.float32) / 255
RGGB = BayerPattern.RGGB
BLUR_NOISE = 2.55 / 255
PACKAGES = {"opencv": "cv2", "menon": "colour_demosaicing"}


def picture(pixels: np.ndarray) -> Picture:
    return Picture(pixels, Metadata("png"))


def photograph(height: int, width: int) -> Picture:
    return picture(data.astronaut()[100 : 100 + height, 150 : 150 + width])


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let a package look as if it was not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))


@pytest.mark.parametrize(
    ("task", "options", "names"),
    [
        ("denoise", {"sigma": ["25"]}, "noisy, tv, nlm, bm3d"),
        ("demosaic", {"pattern": ["rggb"]}, "bilinear, malvar, opencv, menon"),
        ("deblock", {"quality_factor": [10]}, "jpeg, tv"),
        ("deblur", {}, "blurred, wiener, tv, richardson-lucy, unsupervised-wiener"),
        ("superres", {"scale": [2]}, "bicubic"),
        ("cs-mri", {"sampling": ["radial:0.3"]}, "zero-filling, tv, sigpy-tv, sigpy-wavelet"),
    ],
)
def test_an_unknown_baseline_is_refused_and_the_known_ones_are_named(task, options, names):
    made = benchmark(task, **options)
    assert ", ".join(made.baselines) == names
    with pytest.raises(UsageError, match=f"'median'; choose {names}"):
        made.baseline("median")


@pytest.mark.slow
@pytest.mark.parametrize("clean", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize(("sigma", "least"), [(5, 1), (25, 5), (50, 7)])
@pytest.mark.parametrize("name", ["tv", "nlm"])
def test_baselines_take_noise_away(name, clean, sigma, least):
    noisy = add_gaussian_noise(clean, sigma / 255, 0)
    denoised = noise(sigma).baseline(name)(noisy, sigma / 255)
    assert denoised.shape == clean.shape
    assert denoised.dtype == np.float32
    assert psnr(denoised, clean) > psnr(noisy, clean) + least


@pytest.mark.parametrize("name", ["noisy", "tv", "nlm"])
def test_without_noise_the_image_is_left_alone(name):
    np.testing.assert_array_equal(noise(25).baseline(name)(GREY, 0.0), GREY)


def test_noisy_is_the_input():
    noisy = add_gaussian_noise(GREY, 0.2, 0)
    np.testing.assert_array_equal(noise(25).baseline("noisy")(noisy, 0.2), noisy)


@pytest.mark.parametrize("sigma", ["-0.1", "nan", "inf", "256", "much"])
def test_noise_levels_are_numbers_from_0_to_255(sigma):
    with pytest.raises(UsageError, match="not a noise level"):
        noise(sigma)
    with pytest.raises(UsageError, match="not a noise level"):
        benchmark("deblur", noise=[sigma])


def test_bm3d_that_is_not_installed_names_its_extra(monkeypatch):
    hide(monkeypatch, "bm3d")
    with pytest.raises(MissingExtraError, match=r"pip install 'restorekit\[baselines\]'.*non-commercial"):
        noise(25).baseline("bm3d")


def test_bm3d_is_called_for_grey_and_for_colour(monkeypatch):
    """With a stand-in for the package, whose licence keeps it out of the development set-up."""
    calls = []
    package = ModuleType("bm3d")
    package.__spec__ = importlib.util.spec_from_loader("bm3d", None)
    package.bm3d = lambda image, sigma: calls.append(("bm3d", sigma)) or image.astype(np.float64)
    package.bm3d_rgb = lambda image, sigma: calls.append(("bm3d_rgb", sigma)) or image.astype(np.float64)
    monkeypatch.setitem(sys.modules, "bm3d", package)
    for image in (GREY, COLOUR):
        assert noise(25).baseline("bm3d")(image, 0.1).dtype == np.float32
    assert calls == [("bm3d", 0.1), ("bm3d_rgb", 0.1)]


def test_a_mosaic_is_what_the_image_holds_and_grey_images_are_of_no_use():
    made = benchmark("demosaic", pattern=["rggb"])
    observed = made.degrade(COLOUR, RGGB, seed=0)
    mask = bayer_mask(*COLOUR.shape[:2], RGGB).numpy().astype(bool)
    np.testing.assert_array_equal(observed, COLOUR[mask].reshape(observed.shape))
    assert made.describe(RGGB).value == "rggb"
    colour = picture((COLOUR * 255).round().astype(np.uint8))
    np.testing.assert_array_equal(made.clean(colour), COLOUR)
    with pytest.raises(UnsupportedImageError, match="nothing to demosaic"):
        made.clean(picture(colour.pixels[..., 0]))


@pytest.mark.parametrize("pattern", list(BayerPattern))
@pytest.mark.parametrize(("name", "least"), [("bilinear", 28), ("malvar", 34), ("opencv", 28), ("menon", 34)])
def test_baselines_read_each_pattern_as_it_is(name, least, pattern):
    """In the wrong pattern, none gets above 25 dB."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    made = benchmark("demosaic", pattern=[pattern.value])
    estimate = made.baseline(name)(made.degrade(COLOUR, pattern, seed=0), pattern)
    assert estimate.shape == COLOUR.shape
    assert estimate.dtype == np.float32
    assert psnr(np.clip(estimate, 0, 1), COLOUR) > least


@pytest.mark.parametrize("name", PACKAGES)
def test_a_demosaicker_that_is_not_installed_names_its_extra(monkeypatch, name):
    hide(monkeypatch, PACKAGES[name])
    with pytest.raises(MissingExtraError, match=rf"{name} needs .*pip install 'restorekit\[baselines\]'"):
        benchmark("demosaic", pattern=["rggb"]).baseline(name)


def test_grey_and_colour_are_deblocked_on_luma(folder):
    made = benchmark("deblock", quality_factor=[10, 40])
    evaluation = evaluate_methods(folder, made, {name: made.baseline(name) for name in made.baselines})
    assert (evaluation.task, evaluation.axis, len(evaluation.images)) == ("deblock", "quality_factor", 3)
    assert [condition.label for condition in evaluation.conditions] == ["quality 10", "quality 40"]
    worse, better = (evaluation.result("jpeg", condition).psnr for condition in evaluation.conditions)
    assert better > worse + 2


def test_deblocking_observes_the_jpeg_of_8_bit_luma():
    made = benchmark("deblock", quality_factor=[10])
    luma = made.clean(picture(data.astronaut()[:40, :48]))
    assert luma.shape == (40, 48)
    eight = np.rint(luma * 255).astype(np.uint8)
    assert eight / 255 == pytest.approx(luma, abs=1e-6)
    assert made.degrade(luma, 10, seed=0) * 255 == pytest.approx(recompress(eight, 10).astype(float), abs=1e-3)
    grey = data.camera()[:40, :48]
    assert np.rint(made.clean(picture(grey)) * 255) == pytest.approx(grey)


def test_total_variation_improves_a_jpeg():
    made = benchmark("deblock", quality_factor=[20])
    clean = made.clean(picture(data.camera()[:200, :200]))
    compressed = made.degrade(clean, 20, seed=0)
    assert np.array_equal(made.baseline("jpeg")(compressed, 20), compressed)
    assert psnr(made.baseline("tv")(compressed, 20), clean) > psnr(compressed, clean)


def test_quality_factors_go_from_1_to_100():
    with pytest.raises(UsageError, match="from 1 to 100"):
        benchmark("deblock", quality_factor=[10, 0])


@pytest.mark.slow
def test_baselines_deblur():
    made = benchmark("deblur")
    assert "gaussian:2, 13x13 pixels" in made.protocol
    assert made.conditions == (BLUR_NOISE,)
    clean = made.clean(photograph(96, 100))
    observed = made.degrade(clean, BLUR_NOISE, 0)
    assert np.array_equal(observed, made.degrade(clean, BLUR_NOISE, 0))
    figures = [psnr(made.baseline(name)(observed, BLUR_NOISE), clean) for name in ("blurred", "wiener", "tv")]
    assert figures[0] + 1 < figures[1] < figures[2]
    for name in ("richardson-lucy", "unsupervised-wiener"):
        estimate = made.baseline(name)(observed, BLUR_NOISE)
        assert (estimate.shape, estimate.dtype) == (clean.shape, np.float32)
        assert psnr(estimate, clean) > figures[0] + 0.5
    for name in ("wiener", "tv", "richardson-lucy", "unsupervised-wiener"):
        assert np.isfinite(made.baseline(name)(observed, 0.0)).all()


def test_grey_and_colour_are_deblurred_and_enlarged(folder):
    made = benchmark("deblur", kernel="gaussian:0.5", noise=["0", "25.5"])
    evaluation = evaluate_methods(folder, made, {name: made.baseline(name) for name in ("blurred", "wiener")})
    assert [condition.label for condition in evaluation.conditions] == ["noise 0", "noise 25.5"]
    made = benchmark("superres", scale=[2, 3])
    evaluation = evaluate_methods(folder, made, {"bicubic": made.baseline("bicubic")})
    assert [condition.label for condition in evaluation.conditions] == ["x2", "x3"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_low_resolution_is_that_of_torch(scale):
    made = benchmark("superres", scale=[scale])
    clean = made.clean(photograph(50, 40))
    assert clean.shape == (48, 36, 3)
    low = torch.nn.functional.interpolate(
        torch.from_numpy(clean).permute(2, 0, 1)[None], scale_factor=1 / scale, mode="bicubic", align_corners=False
    )
    assert made.degrade(clean, scale, 0) == pytest.approx(low[0].permute(1, 2, 0).numpy(), abs=1e-6)
    assert made.baseline("bicubic")(low[0, 0].numpy(), scale).shape == (48, 36)


def test_scales_are_2_3_and_4():
    with pytest.raises(UsageError, match="use one of 2, 3, 4"):
        benchmark("superres", scale=[2, 5])


def test_pictures_that_are_too_small_are_of_no_use():
    with pytest.raises(UnsupportedImageError, match="smaller than the kernel"):
        benchmark("deblur").clean(photograph(12, 40))
    with pytest.raises(UnsupportedImageError, match="less than 12"):
        benchmark("superres", scale=[2]).clean(photograph(11, 40))


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", ["sigpy-tv", "sigpy-wavelet"])
def test_sigpy_beats_zero_filling(name, real):
    pytest.importorskip("sigpy", exc_type=ImportError)
    x = 3 * torch.from_numpy(data.shepp_logan_phantom()[::8, 2:-2:8].copy()).float()[None, None]
    if not real:
        x = torch.cat((x, -0.5 * x), 1)
    mask = Sampling(SamplingPattern.RADIAL, 0.4).mask(*x.shape[2:], 0)
    physics = (SampledFourierOfReal if real else SampledFourier)(mask)

    class Known:
        """A mask as a condition, whatever its source."""

        def __init__(self):
            self.real = real

        def physics(self, height, width):
            return physics

    made = benchmark("cs-mri", sampling=["radial:0.4"])
    truth = (x[0, 0] if real else x[0].norm(dim=0)).numpy()
    y = physics.A(x)[0].numpy()
    estimate, zero_filled = made.baseline(name)(y, Known()), made.baseline("zero-filling")(y, Known())
    assert (estimate.shape, estimate.dtype) == (truth.shape, np.float32)
    assert psnr(estimate, truth) > psnr(zero_filled, truth) + 1
    assert not made.baseline(name)(0 * y, Known()).any()


@pytest.mark.parametrize("name", ["sigpy-tv", "sigpy-wavelet"])
def test_sigpy_that_is_not_installed_names_its_extra(monkeypatch, name):
    hide(monkeypatch, "sigpy")
    with pytest.raises(MissingExtraError, match=r"pip install 'restorekit\[baselines\]'"):
        benchmark("cs-mri", sampling=["radial:0.3"]).baseline(name)
