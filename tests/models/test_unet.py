"""A U-Net in tiles, on any size, at any scale of its values."""

from dataclasses import asdict, replace
from itertools import combinations, product

import pytest
import torch
import torch.nn.functional as F

from restorekit import zoo
from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.inference.runner import RunSettings, restore_batch
from restorekit.models.unet import UNet, UNetSettings
from restorekit.physics.mosaic import bayer_mask, interpolate
from restorekit.types import BayerPattern, Quality

SETTINGS = UNetSettings(channels=3, widths=(8, 12, 16), blocks=1)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = UNet(SETTINGS)
    torch.nn.init.normal_(made.tail.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    return made.eval().requires_grad_(False)


def estimate(network, images, level, tile_size=None):
    sums, covered = network(images, level, 1, tile_size)
    return sums / covered


def test_it_starts_as_the_identity():
    image, level = randn(1, 3, 24, 32), torch.full((1,), 0.1)
    assert torch.equal(estimate(UNet(SETTINGS), image, level), image)


def test_features_keep_their_size_at_the_start():
    network = UNet(UNetSettings(channels=3, widths=(32, 48, 64), blocks=2))
    sizes = []
    for layer in [*network.encoders, network.middle, *network.decoders]:
        layer.register_forward_hook(lambda _, given, made: sizes.append(float(made.std())))
    with torch.no_grad():
        network(randn(1, 3, 64, 64), torch.full((1,), 0.1))
    assert all(0.3 < size < 4 for size in sizes)


def test_scaling_image_and_level_scales_the_estimate(network):
    image, level = randn(2, 3, 24, 32), torch.tensor([0.1, 0.3])
    scaled = estimate(network, 5 * image, 5 * level)
    torch.testing.assert_close(scaled, 5 * estimate(network, image, level), rtol=1e-4, atol=1e-4)


def test_brightness_does_not_matter(network):
    image, level = randn(2, 3, 24, 32), torch.tensor([0.1, 0.3])
    brighter = estimate(network, image + torch.tensor([0.2, 0.5, 0.3])[:, None, None], level)
    expected = estimate(network, image, level) + torch.tensor([0.2, 0.5, 0.3])[:, None, None]
    torch.testing.assert_close(brighter, expected, rtol=1e-4, atol=1e-4)


def test_the_level_matters_to_its_own_image_only(network):
    image = randn(2, 3, 24, 32)
    one, other = (estimate(network, image, torch.tensor([0.1, level])) for level in (0.1, 0.2))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(160, 176), (161, 187), (8, 203)])
def test_tiles_agree_with_the_whole(channels, size):
    network = UNet(UNetSettings(channels, SETTINGS.widths, SETTINGS.blocks)).double()
    torch.nn.init.normal_(network.tail.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    image, level = randn(1, channels, *size).double(), torch.full((1,), 0.1).double()
    whole = network(image, level, 1, 1024)
    assert network.halo < 160
    tiled = network(image, level, 1, 32)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-10)
    assert len(network.blocks(*size, 2, 32)) > 1


@pytest.mark.parametrize("size", [(61, 83), (64, 83), (41, 64)])
def test_the_last_pixels_are_estimated_on_cells_that_end_with_the_image(network, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    whole, _ = restore_batch(image, 0.1, network, RunSettings())
    assert [network.windows(side)[-1].seen.stop for side in size] == list(size)
    for rows, cols in product(*(network.windows(side) for side in size)):
        alone = estimate(network, image[..., rows.seen, cols.seen], torch.full((1,), 0.1)).clamp(0, 1)
        last = [window == network.windows(side)[-1] for window, side in zip((rows, cols), size, strict=True)]
        right = tuple(slice(None) if end else slice(0, -16) for end in last)
        torch.testing.assert_close(
            whole[..., rows.kept, cols.kept][(..., *right)], alone[..., rows.within, cols.within][(..., *right)]
        )


@pytest.mark.parametrize("side", [1, 7, 15, 33, 39])
def test_a_side_too_short_for_a_strip_is_continued(network, side):
    (window,) = network.windows(side)
    assert window.seen == window.kept == slice(0, -(-side // 8) * 8)


def test_the_halo_of_a_shallow_one_is_the_field_of_view(network):
    """What is farther away than the halo changes nothing, and what is a little nearer does."""
    level, middle = torch.full((1,), 0.1), 160
    moved = {}
    for distance in (network.halo + 1, network.halo - 2 * network.patch_size):
        image = randn(1, 3, 320, 8)
        before = estimate(network, image, level)[..., middle, :]
        image[..., middle + distance :, :] += 10
        moved[distance] = float((estimate(network, image, level)[..., middle, :] - before).abs().max())
    far, near = moved.values()
    assert far == 0
    assert near > 0


def test_what_lies_beyond_the_halo_of_a_deep_one_does_not_tell():
    """Its field of view is 171 pixels to each side, of which a tile has 96: for noise enough for 16 bits."""
    network = zoo.load_model(zoo.find("denoise-gray-unet")).network
    generator = torch.Generator().manual_seed(3)
    blobs = F.interpolate(torch.rand(1, 1, 32, 20, generator=generator), scale_factor=16, mode="bicubic")
    noisy, level = blobs + 0.1 * torch.randn(blobs.shape, generator=generator), torch.full((1,), 0.1)
    assert network.halo == 96
    with torch.inference_mode():
        whole = network(noisy, level, 1, 1024)[0]
        tiled = network(noisy, level, 1, 96)[0]
    assert (tiled - whole).abs().max() < 1 / 65535


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 9), (33, 16)])
def test_any_size_by_the_engine(network, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2))
    for tile in (None, 16):
        restored, _ = restore_batch(image, 0.1, network, RunSettings(tile=tile))
        assert restored.shape == image.shape
        assert torch.isfinite(restored).all()


def test_in_training_the_pixels_beyond_the_cells_are_left_out(network):
    image, level = randn(2, 3, 21, 35), torch.full((2,), 0.1)
    sums, covered = network(image, level)
    assert sums.shape == image.shape
    assert covered.sum() == 16 * 32
    assert (covered[:16, :32] == 1).all()
    assert (sums[..., 16:, :] == 0).all()


def test_a_mask_is_refused(network):
    image = torch.rand(1, 3, 16, 16)
    with pytest.raises(ModelMismatchError, match="takes no mask"):
        network(image, torch.full((1,), 0.1), mask=torch.ones_like(image))


@pytest.fixture
def mosaics(network):
    """The same network for mosaics, and all four of one image: interpolated, with their masks."""
    image, cases = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(3)), []
    for pattern in BayerPattern:
        mask = bayer_mask(32, 48, pattern).permute(2, 0, 1)[None]
        cases.append((interpolate((image * mask).sum(1, keepdim=True), pattern), mask))
    made = UNet(replace(SETTINGS, mosaic=True)).eval().requires_grad_(False)
    assert made.load_compatible_weights(network)
    return made, cases


def test_mirrored_mosaics_have_mirrored_estimates(mosaics):
    network, cases = mosaics
    level = torch.full((1,), 0.02)
    for filled, mask in cases:
        estimate = network(filled, level, mask=mask)[0]
        assert not torch.allclose(estimate, filled)
        for sides in ((-1,), (-2,), (-2, -1)):
            mirrored = network(filled.flip(sides), level, mask=mask.flip(sides))[0]
            assert torch.equal(mirrored.flip(sides), estimate)
        tiled, covered = network(filled, level, tile_size=16, mask=mask)
        torch.testing.assert_close(tiled / covered, estimate, rtol=1e-5, atol=1e-5)
    filled, mask = (torch.cat(parts) for parts in zip(*cases, strict=True))
    together = network(filled, level.expand(len(filled)), mask=mask)[0]
    torch.testing.assert_close(together[-1:], estimate, rtol=1e-5, atol=1e-5)


def test_strips_of_a_mosaic_have_their_part_of_its_mask(mosaics):
    network, cases = mosaics
    for filled, mask in cases:
        image, known = (torch.cat((part, part), -2)[..., :61, :43] for part in (filled, mask))
        whole, _ = restore_batch(image, 0.02, network, RunSettings(), known)
        corner = (..., slice(61 - 40, 61), slice(43 - 40, 43))
        alone = network(image[corner], torch.full((1,), 0.02), mask=known[corner])[0].clamp(0, 1)
        torch.testing.assert_close(whole[..., -16:, -16:], alone[..., -16:, -16:], rtol=1e-5, atol=1e-5)


def test_all_views_of_a_mosaic_differ(mosaics, monkeypatch):
    network, cases = mosaics
    image, known = (torch.cat((part, part), -2)[..., :61, :] for part in cases[0])
    estimates = []
    for view in network.views:
        monkeypatch.setattr(UNet, "views", (view,))
        estimates.append(restore_batch(image, 0.02, network, RunSettings(Quality.BEST), known)[0][..., 16:45, 16:32])
    assert len(estimates) == 8
    for one, other in combinations(estimates, 2):
        assert float((one - other).abs().max()) > 1e-3


def test_one_for_mosaics_needs_a_mask(mosaics):
    network, cases = mosaics
    with pytest.raises(ModelMismatchError, match="needs the mask"):
        network(cases[0][0], torch.full((1,), 0.1))


def test_settings_of_a_card():
    assert UNetSettings.parse({**asdict(SETTINGS), "widths": [8, 12, 16]}) == SETTINGS


@pytest.mark.parametrize(
    "change",
    [
        {"widths": []},
        {"widths": [8, 0]},
        {"widths": 8},
        {"widths": [True]},
        {"blocks": 0},
        {"depth": 3},
        {"channels": 1, "mosaic": True},
    ],
)
def test_settings_that_make_no_network(change):
    with pytest.raises(WeightsError, match="unet model"):
        UNetSettings.parse({**asdict(SETTINGS), **change})


def test_one_for_grey_begins_as_one_for_colour_given_three_equal_colours(network):
    grey = UNet(replace(SETTINGS, channels=1))
    assert grey.load_compatible_weights(network)
    image, level = randn(1, 1, 24, 32), torch.full((1,), 0.1)
    expected = estimate(network, image.expand(-1, 3, -1, -1), level).mean(1, keepdim=True)
    torch.testing.assert_close(estimate(grey, image, level), expected, rtol=1e-4, atol=1e-4)
    assert not network.load_compatible_weights(grey)
    assert not UNet(replace(SETTINGS, channels=1, widths=(8, 12, 20))).load_compatible_weights(network)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_deeper_network_begins_where_a_shallower_one_ended(network, channels):
    same, deep = (UNet(replace(SETTINGS, channels=channels, blocks=blocks)) for blocks in (1, 2))
    assert same.load_compatible_weights(network)
    assert deep.load_compatible_weights(network)
    image, level = randn(1, channels, 24, 32), torch.full((1,), 0.1)
    torch.testing.assert_close(estimate(deep, image, level), estimate(same, image, level))
    assert not same.load_compatible_weights(deep)
