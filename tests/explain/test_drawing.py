import numpy as np
import pytest

from restorekit.explain.page import MAGMA, VIRIDIS, Scale, at_centres, draw_frame
from restorekit.pages.figures import Region


def test_colours_reach_from_zero_to_the_top():
    pixels = Scale(4, "", VIRIDIS).colour(np.array([[-1, 0, 2, 4, 9]]))
    assert pixels[0].tolist() == [[68, 1, 84], [68, 1, 84], [33, 145, 140], [253, 231, 37], [253, 231, 37]]


@pytest.mark.parametrize("colours", [MAGMA, VIRIDIS])
def test_scales_grow_lighter(colours):
    lightness = Scale(1, "", colours).colour(np.linspace(0, 1, 50)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) >= 0).all()


def test_a_frame_that_leaves_the_image_is_cut_off():
    pixels = np.zeros((6, 7, 3), np.uint8)
    draw_frame(pixels, Region(-1, 2, 4, 9), (1, 2, 3), 1)
    drawn = np.argwhere(pixels[..., 0])
    assert sorted(map(tuple, drawn)) == [(0, 2), (1, 2), *((2, col) for col in range(2, 7))]


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_patches_are_drawn_at_their_centres(stride):
    height, width = 9 + 3 * stride, 9 + 2 * stride
    values = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)
    pixels, alpha = at_centres(values, height, width, 9, stride)
    assert pixels.shape == (height, width, 3)
    assert (alpha > 0).sum() == 12 * stride**2
    for row in range(4):
        for col in range(3):
            np.testing.assert_array_equal(pixels[4 + row * stride, 4 + col * stride], values[row, col])
