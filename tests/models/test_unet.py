"""A U-Net in tiles, on any size, at any scale of its values."""

from dataclasses import asdict, replace
from itertools import combinations, product

import pytest
import torch
import torch.nn.functional as F

from restorekit import zoo
from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.inference.runner import RunSettings, restore_batch
from restorekit.models import build
from restorekit.models.convolutional import UNet, UNetSettings
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


def estimate(network, images, sigma, tile_size=None):
    sums, covered = network(images, sigma, 1, tile_size)
    return sums / covered


def test_it_starts_as_the_identity():
    image, sigma = randn(1, 3, 24, 32), torch.full((1,), 0.1)
    assert torch.equal(estimate(UNet(SETTINGS), image, sigma), image)


def test_features_keep_their_size_at_the_start():
    network = UNet(UNetSettings(channels=3, widths=(32, 48, 64), blocks=2))
    sizes = []
    for layer in [*network.encoders, network.middle, *network.decoders]:
        layer.register_forward_hook(lambda _, given, made: sizes.append(float(made.std())))
    with torch.no_grad():
        network(randn(1, 3, 64, 64), torch.full((1,), 0.1))
    assert all(0.3 < size < 4 for size in sizes)


def test_scaling_image_and_sigma_scales_the_estimate(network):
    image, sigma = randn(2, 3, 24, 32), torch.tensor([0.1, 0.3])
    scaled = estimate(network, 5 * image, 5 * sigma)
    torch.testing.assert_close(scaled, 5 * estimate(network, image, sigma), rtol=1e-4, atol=1e-4)


def test_brightness_does_not_matter(network):
    image, sigma = randn(2, 3, 24, 32), torch.tensor([0.1, 0.3])
    brighter = estimate(network, image + torch.tensor([0.2, 0.5, 0.3])[:, None, None], sigma)
    expected = estimate(network, image, sigma) + torch.tensor([0.2, 0.5, 0.3])[:, None, None]
    torch.testing.assert_close(brighter, expected, rtol=1e-4, atol=1e-4)


def test_sigma_affects_its_own_image_only(network):
    image = randn(2, 3, 24, 32)
    one, other = (estimate(network, image, torch.tensor([0.1, sigma])) for sigma in (0.1, 0.2))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(160, 176), (161, 187), (8, 203)])
def test_tiles_agree_with_the_whole(channels, size):
    network = UNet(UNetSettings(channels, SETTINGS.widths, SETTINGS.blocks)).double()
    torch.nn.init.normal_(network.tail.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    image, sigma = randn(1, channels, *size).double(), torch.full((1,), 0.1).double()
    whole = network(image, sigma, 1, 1024)
    assert network.halo < 160
    tiled = network(image, sigma, 1, 32)
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
def test_a_side_too_short_for_a_strip_is_extended(network, side):
    (window,) = network.windows(side)
    assert window.seen == window.kept == slice(0, -(-side // 8) * 8)


def test_the_halo_of_a_shallow_network_is_the_field_of_view(network):
    """What is farther away than the halo changes nothing, and what is a little nearer does."""
    sigma, middle = torch.full((1,), 0.1), 160
    moved = {}
    for distance in (network.halo + 1, network.halo - 2 * network.patch_size):
        image = randn(1, 3, 320, 8)
        before = estimate(network, image, sigma)[..., middle, :]
        image[..., middle + distance :, :] += 10
        moved[distance] = float((estimate(network, image, sigma)[..., middle, :] - before).abs().max())
    far, near = moved.values()
    assert far == 0
    assert near > 0


@pytest.mark.slow
def test_pixels_beyond_the_halo_of_a_deep_network_hardly_matter():
    """Its field of view is 171 pixels to each side, of which a tile has 96: for noise enough for 16 bits."""
    network = zoo.load_model(zoo.find("denoise-gray-unet")).network
    generator = torch.Generator().manual_seed(3)
    blobs = F.interpolate(torch.rand(1, 1, 32, 20, generator=generator), scale_factor=16, mode="bicubic")
    noisy, sigma = blobs + 0.1 * torch.randn(blobs.shape, generator=generator), torch.full((1,), 0.1)
    assert network.halo == 96
    with torch.inference_mode():
        whole = network(noisy, sigma, 1, 1024)[0]
        tiled = network(noisy, sigma, 1, 96)[0]
    assert (tiled - whole).abs().max() < 1 / 65535


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 9), (33, 16)])
def test_images_of_any_size_are_restored(network, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(2))
    for tile in (None, 16):
        restored, _ = restore_batch(image, 0.1, network, RunSettings(tile=tile))
        assert restored.shape == image.shape
        assert torch.isfinite(restored).all()


def test_in_training_the_pixels_beyond_the_cells_are_left_out(network):
    image, sigma = randn(2, 3, 21, 35), torch.full((2,), 0.1)
    sums, covered = network(image, sigma)
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
    sigma = torch.full((1,), 0.02)
    for filled, mask in cases:
        estimate = network(filled, sigma, mask=mask)[0]
        assert not torch.allclose(estimate, filled)
        for sides in ((-1,), (-2,), (-2, -1)):
            mirrored = network(filled.flip(sides), sigma, mask=mask.flip(sides))[0]
            assert torch.equal(mirrored.flip(sides), estimate)
        tiled, covered = network(filled, sigma, tile_size=16, mask=mask)
        torch.testing.assert_close(tiled / covered, estimate, rtol=1e-5, atol=1e-5)
    filled, mask = (torch.cat(parts) for parts in zip(*cases, strict=True))
    together = network(filled, sigma.expand(len(filled)), mask=mask)[0]
    torch.testing.assert_close(together[-1:], estimate, rtol=1e-5, atol=1e-5)


def test_strips_of_a_mosaic_get_their_part_of_the_mask(mosaics):
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
        monkeypatch.setattr(network, "views", (view,))
        estimates.append(restore_batch(image, 0.02, network, RunSettings(Quality.BEST), known)[0][..., 16:45, 16:32])
    assert len(estimates) == 8
    for one, other in combinations(estimates, 2):
        assert float((one - other).abs().max()) > 1e-3


def test_a_network_for_mosaics_needs_a_mask(mosaics):
    network, cases = mosaics
    with pytest.raises(ModelMismatchError, match="needs the mask"):
        network(cases[0][0], torch.full((1,), 0.1))


def test_settings_of_a_card_are_read():
    assert build("unet", {**asdict(SETTINGS), "widths": [8, 12, 16]}).settings == SETTINGS


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
def test_wrong_settings_are_refused(change):
    with pytest.raises(WeightsError, match=f"unet model: {next(iter(reversed(change)))}"):
        build("unet", {**asdict(SETTINGS), **change})


def test_a_grey_network_starts_as_a_colour_network_given_three_equal_channels(network):
    grey = UNet(replace(SETTINGS, channels=1))
    assert grey.load_compatible_weights(network)
    image, sigma = randn(1, 1, 24, 32), torch.full((1,), 0.1)
    expected = estimate(network, image.expand(-1, 3, -1, -1), sigma).mean(1, keepdim=True)
    torch.testing.assert_close(estimate(grey, image, sigma), expected, rtol=1e-4, atol=1e-4)
    assert not network.load_compatible_weights(grey)
    assert not UNet(replace(SETTINGS, channels=1, widths=(8, 12, 20))).load_compatible_weights(network)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_deeper_network_starts_as_the_shallower_one(network, channels):
    same, deep = (UNet(replace(SETTINGS, channels=channels, blocks=blocks)) for blocks in (1, 2))
    assert same.load_compatible_weights(network)
    assert deep.load_compatible_weights(network)
    image, sigma = randn(1, channels, 24, 32), torch.full((1,), 0.1)
    torch.testing.assert_close(estimate(deep, image, sigma), estimate(same, image, sigma))
    assert not same.load_compatible_weights(deep)
