"""The network that enlarges: its data step, its invariances and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.models import Enlarger, Measurement, build, settings_json
from restorekit.physics.blur import CircularBlur
from restorekit.physics.decimation import SCALES, bicubic_decimation
from tests.tiny import tiny_enlarger


def measurement(y: Tensor, scale: int, sigma: float = 0.0) -> Measurement:
    start = y.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    return Measurement(y, start, torch.full((len(y),), 0.05), torch.full((len(y),), sigma), bicubic_decimation(scale))


def small_images(height: int = 9, width: int = 7) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", SCALES)
def test_made_small_again_the_estimate_is_what_was_given(scale: int) -> None:
    y = small_images()
    x = tiny_enlarger()(measurement(y, scale))
    assert x.shape == (2, 3, 9 * scale, 7 * scale)
    torch.testing.assert_close(bicubic_decimation(scale).A(x), y, atol=2e-3, rtol=0)


def test_noise_loosens_the_data_step() -> None:
    y, enlarger, physics = small_images(), tiny_enlarger(), bicubic_decimation(3)
    errors = [float((physics.A(enlarger(measurement(y, 3, sigma))) - y).norm()) for sigma in (0.0, 0.05, 0.2)]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("scale", SCALES)
def test_contrast_and_brightness_pass_through(scale: int) -> None:
    y, enlarger = small_images(), tiny_enlarger()
    torch.testing.assert_close(
        enlarger(measurement(0.5 * y + 0.2, scale)), 0.5 * enlarger(measurement(y, scale)) + 0.2, atol=1e-4, rtol=0
    )


def test_a_pixel_is_a_picture() -> None:
    assert tiny_enlarger()(measurement(small_images(1, 1), 4)).shape == (2, 3, 4, 4)


def test_it_is_built_from_what_its_card_says() -> None:
    architecture, settings = settings_json(tiny_enlarger())
    assert settings_json(build(architecture, settings)) == ("enlarger", {"channels": 3, "width": 8, "blocks": 2})
    with pytest.raises(WeightsError, match="width"):
        build(architecture, {**settings, "width": 0})


def test_a_deeper_network_begins_where_a_shallower_one_ended() -> None:
    shallow, y = tiny_enlarger(), small_images()
    deep = Enlarger(replace(shallow.settings, blocks=4))
    assert deep.load_compatible_weights(shallow)
    torch.testing.assert_close(deep.reconstruct(measurement(y, 2)), shallow(measurement(y, 2)))
    assert not shallow.load_compatible_weights(deep)
    assert not Enlarger(replace(shallow.settings, width=4)).load_compatible_weights(shallow)


def test_what_is_out_of_view_changes_nothing() -> None:
    network, y = tiny_enlarger(), small_images(31, 31)
    changed = y.clone()
    changed[..., 15, 15] = 5
    before, after = (network.tails[0](network.blocks(network.head(image, torch.zeros(2)))) for image in (y, changed))
    moved = after - before
    rows = moved.abs().amax((0, 1, 3)).nonzero().flatten()
    assert (15 - network.view, 15 + network.view) == (int(rows.min()), int(rows.max()))


def test_differences_are_not_rounded_in_half_precision() -> None:
    network, y = tiny_enlarger(), small_images()
    exact = network.head(y, torch.zeros(2))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network.head(y, torch.zeros(2)), exact)


def test_other_recordings_are_refused() -> None:
    y = small_images()
    blurred = Measurement(y, y, torch.zeros(2), torch.zeros(2), CircularBlur(torch.ones(1, 1)))
    with pytest.raises(ModelMismatchError, match="made smaller by 2, 3, 4"):
        tiny_enlarger()(blurred)
