"""`restorekit.demosaic`, which gives another shape than it takes."""

from pathlib import Path

import numpy as np
import pytest
import torch

import restorekit
from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.zoo import LoadedModel
from tests.mosaic_network import CARD, Interpolator

MODEL = LoadedModel(CARD, Interpolator(), Path("interpolator"))
MOSAIC = np.random.default_rng(0).integers(0, 256, (12, 15)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_an_array_gets_colour_and_keeps_its_type(dtype):
    scale = np.iinfo(dtype).max // 255 if np.issubdtype(dtype, np.integer) else 1 / 255
    colour = restorekit.demosaic((MOSAIC.astype(np.float64) * scale).astype(dtype), "grbg", model=MODEL)
    assert (colour.shape, colour.dtype) == ((12, 15, 3), dtype)
    expected = restorekit.demosaic(MOSAIC, "grbg", model=MODEL)
    np.testing.assert_allclose(colour / scale, expected, atol=0.51)


def test_a_tensor_gives_what_its_array_gives():
    expected = np.moveaxis(restorekit.demosaic(MOSAIC, "grbg", model=MODEL), 2, 0)
    tensor = torch.from_numpy(MOSAIC)
    for image in (tensor, tensor[None], torch.stack([tensor[None]] * 2)):
        colour = restorekit.demosaic(image, "grbg", model=MODEL)
        assert colour.shape == (*image.shape[:-3], 3, 12, 15)
        assert colour.dtype == torch.uint8
        np.testing.assert_array_equal(colour if colour.ndim == 3 else colour[1], expected)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match="pattern must be one of rggb, bggr, grbg, gbrg, not 'rgbg'"):
        restorekit.demosaic(MOSAIC, "rgbg", model=MODEL)
    with pytest.raises(UsageError, match="quality must be"):
        restorekit.demosaic(MOSAIC, "rggb", model=MODEL, quality="good")
    with pytest.raises(UnsupportedImageError, match="a colour picture"):
        restorekit.demosaic(np.zeros((8, 8, 3)), "rggb", model=MODEL)
