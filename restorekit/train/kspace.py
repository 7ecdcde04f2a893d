"""What training does to clean images to learn compressed sensing: only a part of their k-space is measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.models import Measurement
from restorekit.models.kspace import kspace_measurement
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal, Sampling
from restorekit.train.degradation import LEVELS
from restorekit.types import SamplingPattern

PERCENT = 100.0


@dataclass(frozen=True)
class KspaceSettings:
    """Sampling rates between two, in percent, by a mask of a random pattern that is drawn anew for each batch.

    Noise of k-space, on the 0..255 scale: none for half of the batches, up to `noise` for the others. Images of two
    channels are complex, those of one are known to be real.
    """

    low: float
    high: float
    noise: float
    balance: float
    validation: tuple[float, ...]

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest sampling rate, in percent."""
        return self.low, self.high

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """All crops by one mask, and with noise of one level."""
        patterns = tuple(SamplingPattern)
        chance = torch.rand(2, generator=generator).tolist()
        pattern, seed = torch.randint(1 << 30, (2,), generator=generator).tolist()
        share = (self.low + (self.high - self.low) * chance[0]) / PERCENT
        noise = max(0.0, 2 * chance[1] - 1) * self.noise / LEVELS
        return self._recorded(clean, Sampling(patterns[pattern % len(patterns)], share), seed, noise, generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops by a pseudo-radial mask of that rate, without noise."""
        return self._recorded(clean, Sampling(SamplingPattern.RADIAL, level / PERCENT), 0, 0.0, generator)

    @staticmethod
    def _recorded(
        clean: Tensor, sampling: Sampling, seed: int, noise: float, generator: torch.Generator
    ) -> Measurement:
        height, width = clean.shape[2:]
        mask = sampling.mask(height, width, seed)
        physics = SampledFourier(mask) if clean.shape[1] == 2 else SampledFourierOfReal(mask)
        y = physics.observe(clean, noise, generator)
        return kspace_measurement(physics, y, torch.full((len(clean),), noise))
