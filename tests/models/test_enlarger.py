"""The network that enlarges: its data step, its invariances and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.models import Enlarger, Measurement, build, settings_json
from restorekit.physics.blur import SCALES, CircularBlur, bicubic_decimation
from tests.tiny import tiny_enlarger


def measurement(y: Tensor, scale: int, sigma: float = 0.0) -> Measurement:
    start = y.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    return Measurement(y, start, torch.full((len(y),), 0.05), torch.full((len(y),), sigma), bicubic_decimation(scale))


def small_images(height: int = 9, width: int = 7) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", SCALES)
def test_the_shrunk_estimate_is_the_given_image(scale: int) -> None:
    y = small_images()
    x = tiny_enlarger().reconstruct(measurement(y, scale))
    assert x.shape == (2, 3, 9 * scale, 7 * scale)
    torch.testing.assert_close(bicubic_decimation(scale).A(x), y, atol=2e-3, rtol=0)


def test_noise_weakens_the_data_step() -> None:
    y, enlarger, physics = small_images(), tiny_enlarger(), bicubic_decimation(3)
    errors = [
        float((physics.A(enlarger.reconstruct(measurement(y, 3, sigma))) - y).norm()) for sigma in (0.0, 0.05, 0.2)
    ]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("scale", SCALES)
def test_contrast_and_brightness_pass_through(scale: int) -> None:
    y, enlarger = small_images(), tiny_enlarger()
    torch.testing.assert_close(
        enlarger.reconstruct(measurement(0.5 * y + 0.2, scale)),
        0.5 * enlarger.reconstruct(measurement(y, scale)) + 0.2,
        atol=1e-4,
        rtol=0,
    )


def test_a_single_pixel_is_enlarged() -> None:
    assert tiny_enlarger().reconstruct(measurement(small_images(1, 1), 4)).shape == (2, 3, 4, 4)


def test_it_is_built_from_its_card() -> None:
    architecture, settings = settings_json(tiny_enlarger())
    assert settings_json(build(architecture, settings)) == ("enlarger", {"channels": 3, "width": 8, "blocks": 2})
    with pytest.raises(WeightsError, match="width"):
        build(architecture, {**settings, "width": 0})


def test_a_deeper_network_starts_as_the_shallower_one() -> None:
    shallow, y = tiny_enlarger(), small_images()
    deep = Enlarger(replace(shallow.settings, blocks=4))
    assert deep.load_compatible_weights(shallow)
    torch.testing.assert_close(deep.reconstruct(measurement(y, 2)), shallow.reconstruct(measurement(y, 2)))
    assert not shallow.load_compatible_weights(deep)
    assert not Enlarger(replace(shallow.settings, width=4)).load_compatible_weights(shallow)


def test_pixels_out_of_view_change_nothing() -> None:
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


def test_other_measurements_are_refused() -> None:
    y = small_images()
    blurred = Measurement(y, y, torch.zeros(2), torch.zeros(2), CircularBlur(torch.ones(1, 1)))
    with pytest.raises(ModelMismatchError, match="made smaller by 2, 3, 4"):
        tiny_enlarger().reconstruct(blurred)
