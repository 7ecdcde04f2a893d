import numpy as np
import pytest

from restorekit.explain.figures import MAGMA, VIRIDIS, at_centres, coloured, curve, draw_frame, round_up


def test_colours_reach_from_nought_to_the_top():
    pixels = coloured(np.array([[-1, 0, 2, 4, 9]]), 4, VIRIDIS)
    assert pixels[0].tolist() == [[68, 1, 84], [68, 1, 84], [33, 145, 140], [253, 231, 37], [253, 231, 37]]


@pytest.mark.parametrize("colours", [MAGMA, VIRIDIS])
def test_scales_grow_lighter(colours):
    lightness = coloured(np.linspace(0, 1, 50), 1, colours) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) >= 0).all()


def test_a_frame_that_leaves_the_image_is_cut_off():
    pixels = np.zeros((6, 7, 3), np.uint8)
    draw_frame(pixels, -1, 2, 4, 9, (1, 2, 3), 1)
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


@pytest.mark.parametrize(
    ("value", "rounded"), [(0, 1), (1, 1), (1.1, 2), (4.9, 5), (5.1, 10), (0.021, 0.03), (0.3, 0.3)]
)
def test_limits_are_round(value, rounded):
    assert round_up(value) == pytest.approx(rounded)


@pytest.mark.parametrize("values", [[20.1, 25.5, 26], [3.0, 3.0], [0.0, 0.0], [float("inf"), 30.0], [float("inf")]])
def test_a_curve_stays_in_its_frame(values):
    text = curve(values, "PSNR <of> it", "dB", (1,), "renewed")
    assert "&lt;of&gt;" in text
    assert "nan" not in text
    points = [tuple(map(float, point.split(","))) for point in text.split('points="')[1].split('"')[0].split()]
    assert len(points) == len(values)
    assert all(0 <= x <= 480 and 0 <= y <= 300 for x, y in points)
