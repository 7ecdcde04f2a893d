"""Quality factors, tables and colours, against what libjpeg itself does."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from restorekit.errors import UsageError
from restorekit.physics.jpeg import quality_of, rgb_to_ycbcr, rms_error, scale_of, standard_table, ycbcr_to_rgb


def compressed(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return Image.open(file)


# Below 4 the steps of chroma are 255 throughout.
@pytest.mark.parametrize("quality", range(4, 101, 8))
def test_tables_are_those_of_libjpeg_and_tell_their_quality(quality):
    tables = compressed(np.zeros((16, 16, 3), np.uint8), quality=quality).quantization
    for number, chroma in ((0, False), (1, True)):
        assert tables[number] == standard_table(quality, chroma=chroma).tolist()
        assert quality_of(tables[number], chroma=chroma) == quality


def test_other_tables_get_the_nearest_quality():
    coarse, fine = standard_table(20), standard_table(22)
    assert 20 <= quality_of(np.where(np.arange(64) % 2, coarse, fine)) <= 22
    assert quality_of([255] * 64) == quality_of([1000] * 64) == 1
    assert quality_of([1] * 64) == 100


@pytest.mark.parametrize("table", [[], [1] * 63, [0] * 64])
def test_other_tables_are_refused(table):
    with pytest.raises(UsageError, match="64 steps"):
        quality_of(table)


@pytest.mark.parametrize("quality", [0, 0.5, 101, -3, float("nan")])
def test_other_quality_factors_are_refused(quality):
    for function in (scale_of, rms_error, standard_table):
        with pytest.raises(UsageError, match="from 1 to 100"):
            function(quality)


def test_the_rms_error_is_near_the_error_of_a_photograph():
    image = data.camera()
    for quality in (10, 20, 40, 80):
        error = np.asarray(compressed(image, quality=quality), float) - image
        assert rms_error(quality) * 255 == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.4)
        assert rms_error(quality, chroma=True) < rms_error(quality)
    levels = [rms_error(quality) for quality in range(1, 101)]
    assert sorted(levels, reverse=True) == levels
    assert levels[-1] > 0


def test_colours_are_those_of_jpeg():
    rgb = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    assert ycbcr_to_rgb(rgb_to_ycbcr(rgb)) == pytest.approx(rgb, abs=1e-5)
    pixels = (255 * rgb).astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    assert 255 * rgb_to_ycbcr(pixels / 255) == pytest.approx(expected, abs=1)
