import numpy as np
import pytest

from restorekit.physics.mosaic import balance_white, bayer_mask, camera_to_srgb, decode_srgb, encode_srgb
from restorekit.types import BayerPattern


def test_the_curve_of_srgb_and_its_inverse():
    light = np.linspace(0, 1, 4001, dtype=np.float32)
    values = encode_srgb(light)
    assert values.dtype == np.float32
    # Half-way values of IEC 61966-2-1: a reflectance of 18 % is 46 % of the scale.
    np.testing.assert_allclose(encode_srgb(np.array([0, 0.001, 0.18, 1])), [0, 0.01292, 0.46136, 1], atol=1e-5)
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(decode_srgb(values), light, atol=1e-6)


@pytest.mark.parametrize("pattern", list(BayerPattern))
def test_each_pixel_is_balanced_by_the_factor_of_its_colour(pattern):
    factors = (2.0, 1.0, 1.5)
    expected = (bayer_mask(5, 6, pattern).numpy() * factors).sum(-1) * 0.4
    np.testing.assert_allclose(balance_white(np.full((5, 6), 0.4, np.float32), factors, pattern), expected, rtol=1e-6)
    assert (balance_white(np.ones((5, 6), np.float32), factors, pattern) == 1).all()


def test_colours_outside_srgb_are_clipped():
    matrix = ((1.5, -0.5, 0.0), (-0.25, 1.5, -0.25), (0.0, -0.5, 1.5))
    rgb = np.array([[[0.2, 0.2, 0.2], [1.0, 0.0, 0.0]]], np.float32)
    np.testing.assert_allclose(camera_to_srgb(rgb, matrix), [[[0.2, 0.2, 0.2], [1, 0, 0]]], atol=1e-6)
