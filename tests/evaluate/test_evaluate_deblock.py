"""JPEG compression as a degradation, and the methods it is measured with."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from restorekit.errors import UsageError
from restorekit.evaluate import DEBLOCK_BASELINES, JpegCompression, deblock_baseline, evaluate_methods
from restorekit.image import Metadata, Picture, recompress
from restorekit.numerics.metrics import psnr


def test_grey_and_colour_are_measured_on_luma(folder: Path) -> None:
    methods = [deblock_baseline(name) for name in DEBLOCK_BASELINES]
    evaluation = evaluate_methods(folder, JpegCompression((10, 40)), methods)
    assert (evaluation.task, evaluation.axis, len(evaluation.images)) == ("deblock", "quality_factor", 3)
    assert [level.label for level in evaluation.levels] == ["quality 10", "quality 40"]
    worse, better = (evaluation.result("jpeg", level).psnr for level in evaluation.levels)
    assert better > worse + 2


def test_what_is_observed_is_the_jpeg_of_8_bit_luma() -> None:
    degradation = JpegCompression((10,))
    luma = degradation.prepare(Picture(data.astronaut()[:40, :48], Metadata("png")))
    assert luma.shape == (40, 48)
    eight = np.rint(luma * 255).astype(np.uint8)
    assert eight / 255 == pytest.approx(luma, abs=1e-6)
    assert degradation.observe(luma, 10, seed=0) * 255 == pytest.approx(recompress(eight, 10).astype(float), abs=1e-3)
    grey = data.camera()[:40, :48]
    assert np.rint(degradation.prepare(Picture(grey, Metadata("png"))) * 255) == pytest.approx(grey)


def test_total_variation_improves_a_photograph() -> None:
    degradation = JpegCompression((20,))
    clean = degradation.prepare(Picture(data.camera()[:200, :200], Metadata("png")))
    compressed = degradation.observe(clean, 20, seed=0)
    assert np.array_equal(deblock_baseline("jpeg")(compressed, 20), compressed)
    assert psnr(deblock_baseline("tv")(compressed, 20), clean) > psnr(compressed, clean)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="from 1 to 100"):
        JpegCompression((10, 0))
    with pytest.raises(UsageError, match="choose jpeg, tv"):
        deblock_baseline("nlm")
