"""Crops made small to train super-resolution on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.models import Recording
from restorekit.physics.decimation import SCALES, bicubic_decimation, bicubic_error
from restorekit.restore.superres import enlarge_bicubic, shrink_bicubic
from restorekit.train.degradation import LEVELS


@dataclass(frozen=True)
class DownsamplingSettings:
    """Bicubic downsampling by 2, 3 or 4, with noise of up to `noise`, on the 0..255 scale.

    A scale s is drawn with a probability proportional to s^2, so that as many small pixels are seen at each: the larger
    the scale, the more there is to learn. The sides of crops are multiples of 12, so that every scale divides them.
    """

    noise: float
    balance: float
    validation: tuple[float, ...] = SCALES

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest scale."""
        return float(SCALES[0]), float(SCALES[-1])

    def draw(self, clean: Tensor, generator: torch.Generator) -> Recording:
        """All crops by one scale, drawn anew for each batch, each with noise of its own level."""
        shares = torch.tensor([float(scale**2) for scale in SCALES])
        scale = SCALES[int(torch.multinomial(shares, 1, generator=generator))]
        return _small(clean, scale, self.noise / LEVELS * torch.rand(len(clean), generator=generator), generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Recording:
        """All crops by one scale, without noise."""
        return _small(clean, int(level), torch.zeros(len(clean)), generator)


def _small(clean: Tensor, scale: int, sigma: Tensor, generator: torch.Generator) -> Recording:
    low = shrink_bicubic(clean, scale)
    y = low + sigma[:, None, None, None] * torch.randn(low.shape, generator=generator)
    level = torch.full((len(clean),), bicubic_error(scale))
    return Recording(bicubic_decimation(scale), y, enlarge_bicubic(y, scale), level, sigma)
