"""Crops made small for training."""

from __future__ import annotations

import pytest
import torch

from restorekit.train.downsampling import DownsamplingSettings


def drawn(one_size: bool) -> list[tuple[int, torch.Size]]:
    settings, generator = DownsamplingSettings(0, 0, one_size), torch.Generator().manual_seed(0)
    crops = torch.rand(2, 3, 48, 48, generator=generator)
    measurements = [settings.draw(crops, generator) for _ in range(60)]
    scales = [r.x0.shape[-1] // r.y.shape[-1] for r in measurements]
    return [(scale, r.y.shape) for scale, r in zip(scales, measurements, strict=True)]


def test_small_images_may_have_one_size() -> None:
    seen = drawn(one_size=True)
    assert {shape for _, shape in seen} == {torch.Size([2, 3, 12, 12])}
    counts = [sum(scale == s for scale, _ in seen) for s in (2, 3, 4)]
    assert counts[0] < counts[1] < counts[2]


def test_of_the_scales_that_are_asked_for() -> None:
    settings, generator = DownsamplingSettings(0, 0, one_size=True, scales=(2, 3)), torch.Generator().manual_seed(0)
    assert (settings.validation, settings.conditioning_range) == ((2, 3), (2, 3))
    drawn = [settings.draw(torch.rand(1, 3, 36, 36, generator=generator), generator) for _ in range(20)]
    assert {(r.x0.shape[-1], r.y.shape[-1]) for r in drawn} == {(24, 12), (36, 12)}


@pytest.mark.parametrize("scales", [(), (2, 4), (4, 3), (4, 4), (4.0,), (5,)])
def test_scales_that_no_range_on_a_card_would_tell(scales) -> None:
    with pytest.raises(ValueError, match=r"use \[2, 3, 4\] or neighbours"):
        DownsamplingSettings(0, 0, scales=scales)


def test_or_the_size_that_the_scale_leaves_them() -> None:
    assert set(drawn(one_size=False)) == {(s, torch.Size([2, 3, 48 // s, 48 // s])) for s in (2, 3, 4)}
