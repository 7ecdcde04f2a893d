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

    Every batch has one scale s. With `one_size` only the top left s/4 of its crops is made small, so that small images
    have one size, and s is drawn with a probability proportional to s^2, the larger having more to learn. The sides of
    crops are multiples of 12, so that every scale divides them.
    """

    noise: float
    balance: float
    one_size: bool = False
    validation: tuple[float, ...] = SCALES

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest scale."""
        return float(SCALES[0]), float(SCALES[-1])

    def draw(self, clean: Tensor, generator: torch.Generator) -> Recording:
        """All crops by one scale, or their top left, each with noise of its own level."""
        shares = torch.tensor([float(scale**2 if self.one_size else 1) for scale in SCALES])
        scale = SCALES[int(torch.multinomial(shares, 1, generator=generator))]
        if self.one_size:
            height, width = (side * scale // SCALES[-1] for side in clean.shape[-2:])
            clean = clean[..., :height, :width]
        return _small(clean, scale, self.noise / LEVELS * torch.rand(len(clean), generator=generator), generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Recording:
        """All crops by one scale, without noise."""
        return _small(clean, int(level), torch.zeros(len(clean)), generator)


def _small(clean: Tensor, scale: int, sigma: Tensor, generator: torch.Generator) -> Recording:
    low = shrink_bicubic(clean, scale)
    y = low + sigma[:, None, None, None] * torch.randn(low.shape, generator=generator)
    level = torch.full((len(clean),), bicubic_error(scale))
    return Recording(bicubic_decimation(scale), y, enlarge_bicubic(y, scale), level, sigma)
