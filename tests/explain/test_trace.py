import numpy as np
import pytest
import torch

from restorekit.errors import UsageError
from restorekit.explain.trace import LARGEST_WINDOW, region_around, trace_coding
from restorekit.pages.figures import Region
from restorekit.physics.mosaic import bayer_mask, interpolate
from restorekit.types import BayerPattern
from tests.tiny import tiny_network


def test_the_last_estimate_is_that_of_the_network(network, window, coding):
    with torch.inference_mode():
        sums, covered = network(window, torch.tensor([0.1]), coding.grid.stride, tile_size=64)
    assert len(coding.estimates) == network.settings.steps
    assert torch.allclose(coding.estimates[-1], sums / covered, atol=1e-6)
    assert not torch.allclose(coding.estimates[0], coding.estimates[-1], atol=1e-3)


def test_interpolated_values_weigh_as_much_as_in_the_network():
    network = tiny_network(3, scales=1, masked=True)
    mask = bayer_mask(23, 29, BayerPattern.GBRG).permute(2, 0, 1)[None]
    window = interpolate(torch.rand(1, 1, 23, 29, generator=torch.Generator().manual_seed(0)), BayerPattern.GBRG)
    sums, covered = network(window, torch.tensor([0.02]), stride=2, mask=mask)
    masked = trace_coding(network, window, 0.02, 2, mask).estimates[-1]
    assert torch.allclose(masked, sums / covered, atol=1e-6)
    assert not torch.allclose(masked, trace_coding(network, window, 0.02, 2).estimates[-1], atol=1e-3)


def test_the_patch_at_a_place_has_the_place_near_its_centre(coding):
    stride, half = coding.grid.stride, coding.patch_size // 2
    for row, col in ((0, 0), (11, 14), (12, 9), (22, 28)):
        region = coding.region(coding.patch_at(row, col))
        assert abs(region.top + half - min(max(row, half), 22 - half)) <= stride / 2
        assert abs(region.left + half - min(max(col, half), 28 - half)) <= stride / 2


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("place", [(0, 0), (299, 399), (150, 201)])
def test_the_window_of_a_large_image_lies_on_the_grids_of_all_scales(stride, place):
    network = tiny_network(scales=3)
    region = region_around(*place, (300, 400), network, stride)
    assert region.top % 4 == region.left % 4 == region.top % stride == region.left % stride == 0
    assert (region.height - network.patch_size) % stride == (region.width - network.patch_size) % stride == 0
    assert max(region.height, region.width) <= LARGEST_WINDOW
    assert region.top <= place[0] < region.top + region.height + stride
    assert region.left <= place[1] < region.left + region.width + stride
    assert region.cut(np.zeros((300, 400), np.float32)).shape == (region.height, region.width)


def test_a_small_image_is_its_own_window():
    assert region_around(3, 3, (23, 40, 3), tiny_network(3), 1) == Region(0, 0, 23, 40)
    with pytest.raises(UsageError, match="3x40"):
        region_around(0, 0, (40, 3), tiny_network(), 1)
