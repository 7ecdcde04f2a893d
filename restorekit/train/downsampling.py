"""Crops made small to train super-resolution on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.models import Measurement
from restorekit.physics.decimation import SCALES, bicubic_decimation, bicubic_error
from restorekit.restore.superres import enlarge_bicubic, shrink_bicubic
from restorekit.train.degradation import LEVELS


@dataclass(frozen=True)
class DownsamplingSettings:
    """Bicubic downsampling by one of `scales`, with noise of up to `noise`, on the 0..255 scale.

    The scales are 2, 3 and 4 or neighbours among them. Every batch has one, s. With `one_size` only the top left
    s / max(scales) of its crops is made small, so that small images have one size, and s is drawn with a probability
    proportional to s^2, the larger having more to learn. The sides of crops are multiples of 12, so that every scale
    divides them.
    """

    noise: float
    balance: float
    one_size: bool = False
    scales: tuple[int, ...] = SCALES

    def __post_init__(self) -> None:
        """Raise ValueError for scales that a range on a model card cannot tell."""
        parts = [SCALES[first:last] for last in range(len(SCALES) + 1) for first in range(last)]
        if self.scales not in parts or not all(isinstance(scale, int) for scale in self.scales):
            raise ValueError(f"scales {self.scales}: use {list(SCALES)} or neighbours among them")

    @property
    def validation(self) -> tuple[float, ...]:
        """Every scale."""
        return tuple(map(float, self.scales))

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest scale."""
        return float(min(self.scales)), float(max(self.scales))

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """All crops by one scale, or their top left, each with noise of its own level."""
        shares = torch.tensor([float(scale**2 if self.one_size else 1) for scale in self.scales])
        scale = self.scales[int(torch.multinomial(shares, 1, generator=generator))]
        if self.one_size:
            height, width = (side * scale // max(self.scales) for side in clean.shape[-2:])
            clean = clean[..., :height, :width]
        return _small(clean, scale, self.noise / LEVELS * torch.rand(len(clean), generator=generator), generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops by one scale, without noise."""
        return _small(clean, int(level), torch.zeros(len(clean)), generator)


def _small(clean: Tensor, scale: int, sigma: Tensor, generator: torch.Generator) -> Measurement:
    low = shrink_bicubic(clean, scale)
    y = low + sigma[:, None, None, None] * torch.randn(low.shape, generator=generator)
    level = torch.full((len(clean),), bicubic_error(scale))
    return Measurement(y, enlarge_bicubic(y, scale), level, sigma, bicubic_decimation(scale))
