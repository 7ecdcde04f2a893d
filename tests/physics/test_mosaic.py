import pytest
import torch
from torch import Tensor

from restorekit.physics.mosaic import bayer_mask, interpolate, mirror, mosaic, reconcile, spread
from restorekit.types import BayerPattern

PATTERNS = list(BayerPattern)
SIZES = [(8, 8), (7, 9), (1, 1), (1, 6), (5, 1), (2, 3)]


def ramps(height: int, width: int) -> Tensor:
    """[H, W, 3], each channel linear with slopes of its own."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([0.01 * rows + 0.02 * columns, 0.5 - 0.03 * rows, 0.1 + 0.015 * columns], -1)


def interpolated(rgb: Tensor, pattern: BayerPattern) -> Tensor:
    return interpolate(mosaic(rgb, pattern)[None, None], pattern)[0].permute(1, 2, 0)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_each_pixel_observes_one_channel_and_the_first_four_spell_the_pattern(pattern, size):
    mask = bayer_mask(*size, pattern)
    assert mask.shape == (*size, 3)
    assert torch.equal(mask.sum(-1), torch.ones(size))
    corner = bayer_mask(2, 2, pattern).argmax(-1).flatten().tolist()
    assert "".join("rgb"[channel] for channel in corner) == pattern.value


@pytest.mark.parametrize("pattern", PATTERNS)
def test_spread_is_the_adjoint_of_mosaic_and_its_right_inverse(pattern):
    generator = torch.Generator().manual_seed(0)
    rgb = torch.rand(7, 10, 3, generator=generator, dtype=torch.float64)
    observed = torch.rand(7, 10, generator=generator, dtype=torch.float64)
    left = (mosaic(rgb, pattern) * observed).sum()
    right = (rgb * spread(observed, pattern)).sum()
    torch.testing.assert_close(left, right)
    assert torch.equal(mosaic(spread(observed, pattern), pattern), observed)


@pytest.mark.parametrize("length", [2, 3, 4, 7])
def test_a_mirrored_line_keeps_the_pattern_at_both_ends(length):
    positions = torch.arange(-9, 20)
    indices = mirror(length, -9, 20)
    assert torch.equal(indices % 2, positions % 2)
    assert indices.min() >= 0
    assert indices.max() == length - 1
    assert torch.equal(indices[9 : 9 + length], torch.arange(length))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_constant_colours_are_reproduced_and_observed_values_unchanged(pattern, size):
    if min(size) > 1:
        colour = torch.tensor([0.2, 0.5, 0.9]).expand(*size, 3)
        torch.testing.assert_close(interpolated(colour, pattern), colour)
    grey = torch.full((*size, 3), 0.4)
    torch.testing.assert_close(interpolated(grey, pattern), grey)
    observed = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1))
    estimate = interpolate(observed, pattern)
    mask = bayer_mask(*size, pattern).permute(2, 0, 1)
    assert torch.equal((estimate * mask).sum(1, keepdim=True), observed)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [(12, 12), (13, 11)])
def test_linear_ramps_are_reproduced_in_the_interior(pattern, size):
    rgb = ramps(*size)
    torch.testing.assert_close(interpolated(rgb, pattern)[2:-2, 2:-2], rgb[2:-2, 2:-2])


def test_the_patterns_are_flips_of_one_another():
    """On images of even sides a flip turns RGGB into another pattern, and the interpolation must follow."""
    rgb = torch.rand(10, 8, 3, generator=torch.Generator().manual_seed(2))
    expected = interpolated(rgb, BayerPattern.RGGB)
    for axes, pattern in (((0,), "gbrg"), ((1,), "grbg"), ((0, 1), "bggr")):
        flipped = interpolated(rgb.flip(axes), BayerPattern(pattern))
        torch.testing.assert_close(flipped.flip(axes), expected)


def test_an_odd_image_is_the_corner_of_its_mirrored_extension():
    """So that borders are no worse than the mirror makes them: no phase is lost at any of the four."""
    observed = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(3))
    rows, columns = mirror(7, -4, 13), mirror(9, -4, 15)
    extended = interpolate(observed[..., rows, :][..., columns], BayerPattern.GRBG)
    torch.testing.assert_close(interpolate(observed, BayerPattern.GRBG), extended[..., 4:11, 4:13])


def test_gradients_pass():
    observed = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image: interpolate(image, BayerPattern.RGGB), observed)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", SIZES)
def test_observed_values_are_restored_in_an_estimate(pattern, size):
    generator = torch.Generator().manual_seed(2)
    estimate, observed = torch.rand(*size, 3, generator=generator), torch.rand(*size, generator=generator)
    better = reconcile(estimate, observed, pattern)
    assert torch.equal(mosaic(better, pattern), observed)
    assert torch.equal(reconcile(better, observed, pattern), better)


def test_a_dark_estimate_is_brightened_between_observed_values_too():
    pattern, truth = BayerPattern.GRBG, ramps(8, 10)
    better = reconcile(truth - 0.1, mosaic(truth, pattern), pattern)
    torch.testing.assert_close(better, truth - 0.05 * (1 - bayer_mask(8, 10, pattern)))
