"""Large images solved window by window: weights that add up, results like those of the whole, memory that runs out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from restorekit.errors import MemoryExhaustedError, UsageError
from restorekit.inference import windows as windowing
from restorekit.inference.plug_and_play import Trajectory
from restorekit.inference.windows import Windows, solve_over_windows
from restorekit.numerics.metrics import psnr
from restorekit.physics.blur import CircularBlur, gaussian_kernel, shrink_bicubic
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.deblur import Deblurring, deblur_splitting
from restorekit.tasks.superres import Enlarging
from restorekit.types import Boundary, Quality, RunReport, RunSettings
from restorekit.zoo import load_model
from tests.trained import trained_enlarger

MODEL = load_model(Path(__file__).parents[2] / "weights" / "denoise-gray-sc.safetensors")
ENLARGER = trained_enlarger()
FAST = RunSettings(Quality.FAST, "cpu")


@pytest.mark.parametrize("shape", [(300, 411), (77, 900), (90, 95, 3)])
@pytest.mark.parametrize("scale", [1, 3])
def test_windows_add_up_to_the_image(shape, scale):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    sizes = []

    def enlarge(part):
        sizes.append(part.shape)
        return part.repeat(scale, 0).repeat(scale, 1), RunReport("cpu", 2, 0.5)

    windows = Windows(pixels=100**2, halo=5, scale=scale)
    estimate, report = solve_over_windows(enlarge, image, windows)
    np.testing.assert_allclose(estimate, image.repeat(scale, 0).repeat(scale, 1), atol=1e-6)
    assert (report.tiles, report.seconds) == (2 * len(sizes), 0.5 * len(sizes))
    assert (len(sizes) == 1) == (image.shape[0] * image.shape[1] <= 100**2)
    assert all(height * width <= 1.8 * 100**2 for height, width, *_ in sizes)


def test_a_halo_counts_for_nothing():
    def spoil_edges(part):
        spoilt = part.copy()
        for edge in (spoilt[:5], spoilt[-5:], spoilt[:, :5], spoilt[:, -5:]):
            edge[:] = 9
        return spoilt, RunReport("cpu", 1, 0.0)

    image = np.random.default_rng(0).random((300, 280), dtype=np.float32)
    estimate, _ = solve_over_windows(spoil_edges, image, Windows(100**2, halo=5))
    np.testing.assert_allclose(estimate[5:-5, 5:-5], image[5:-5, 5:-5], atol=1e-6)


def check_alike(whole, tiled, columns):
    """Check that two agree to half a grey value away from the ends of the lines, and that windows meet without a step.

    columns: the windows along a line of the result.
    """
    assert tiled.shape == whole.shape
    fading = np.zeros(whole.shape[1], bool)
    for span in columns:
        fading[span.start : span.stop] |= (span.weights > 0) & (span.weights < 1)
    fading[:48] = fading[-48:] = False
    assert fading.any()
    difference = 255 * np.abs(tiled - whole)[:, 48:-48]
    assert 0 < difference.max() < 0.5
    steps = [np.abs(np.diff(estimate))[:, fading[1:]].mean() for estimate in (whole, tiled)]
    assert steps[1] == pytest.approx(steps[0], rel=0.005)


def deblurred_both_ways(monkeypatch, boundary):
    """Return a photograph, and its blurred copy deblurred as a whole and in windows as small as can be."""
    photo = (data.camera()[100:164, 60:340] / 255).astype(np.float32)
    kernel = gaussian_kernel(0.7)
    y = CircularBlur(kernel).observe(torch.from_numpy(photo)[None, None], 2.55 / 255, 0)[0, 0].numpy()
    run = Run(get_task("deblur").select(None, MODEL), FAST)
    deblur = Deblurring(kernel, 2.55 / 255, MODEL, run, boundary, deblur_splitting(MODEL, 3))
    whole, _ = deblur(y)
    monkeypatch.setattr(windowing, "CPU_MEMORY", 1)
    return photo, whole, deblur(y)[0]


@pytest.mark.slow
def test_deblurred_in_windows_a_photograph_is_as_if_whole(monkeypatch):
    _, whole, tiled = deblurred_both_ways(monkeypatch, Boundary.OPEN)
    check_alike(whole, tiled, Windows(0, halo=42).over(*whole.shape)[1])


@pytest.mark.slow
def test_windows_of_a_periodic_image_go_round(monkeypatch):
    photo, whole, tiled = deblurred_both_ways(monkeypatch, Boundary.CIRCULAR)
    inner = (slice(16, -16), slice(16, -16))
    assert psnr(tiled[inner], photo[inner]) == pytest.approx(psnr(whole[inner], photo[inner]), abs=0.1)


@pytest.mark.parametrize(("model", "iterations"), [pytest.param(MODEL, 3, marks=pytest.mark.slow), (ENLARGER, None)])
def test_enlarged_in_windows_a_photograph_is_as_if_whole(monkeypatch, model, iterations):
    photo = torch.from_numpy((data.camera()[100:164, 60:404] / 255).astype(np.float32))[None, None]
    small = shrink_bicubic(photo, 2)[0, 0].numpy()
    enlarge = Enlarging(2, 0.0, model, Run(get_task("superres").select(None, model), FAST, iterations))
    whole, _ = enlarge(small)
    monkeypatch.setattr(windowing, "CPU_MEMORY", 1)
    tiled, _ = enlarge(small)
    halo = model.network.view + 1 if model is ENLARGER else 20
    spans = Windows(0, halo, scale=2).over(*small.shape)[1]
    check_alike(whole, tiled, [replace(span, start=2 * span.start, stop=2 * span.stop) for span in spans])


@pytest.mark.parametrize("error", [MemoryExhaustedError("too large"), RuntimeError("can't allocate memory: 9 bytes")])
def test_where_memory_runs_out_windows_get_smaller(error):
    tried = []

    def solve(part):
        tried.append(part.size)
        if part.size > 20_000:
            raise error
        return part, RunReport("cpu", 1, 0.0)

    image = np.random.default_rng(0).random((400, 300), dtype=np.float32)
    estimate, report = solve_over_windows(solve, image, Windows(10**9, halo=5))
    np.testing.assert_allclose(estimate, image, atol=1e-6)
    assert tried[0] == image.size
    assert report.tiles > 4
    with pytest.raises(MemoryExhaustedError):
        solve_over_windows(solve, image, Windows(10**9, halo=100))


def test_iterations_are_watched_on_whole_images_only():
    windows = Windows(100**2, halo=5)
    with pytest.raises(UsageError, match="watched on up to"):
        solve_over_windows(lambda part: (part, RunReport("cpu", 1, 0.0)), np.zeros((200, 200)), windows, Trajectory())
