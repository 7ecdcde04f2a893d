"""Blurred crops to train deblurring on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.models import Measurement
from restorekit.physics.blur import CircularBlur, gaussian_kernel, motion_kernel, path_kernel
from restorekit.train.degradation import LEVELS, random_levels

VALIDATION_SIGMA = 2.0
"""Of the Gaussian to validate with, in pixels."""
_TURNS = 12
"""How often the path of a shaken camera changes its direction; it has as many points between turns."""


@dataclass(frozen=True)
class BlurSettings:
    """Circular blur and Gaussian noise, its sigma = low + (high - low) u^power, u uniform; on the 0..255 scale.

    Of three kernels one is a Gaussian of sigma `narrow` to `wide` pixels, one a straight motion of up to `longest`
    pixels, and one the path of a shaken camera, as long at most; with `longest` 0 all are Gaussians.
    """

    low: float
    high: float
    power: float
    narrow: float
    wide: float
    longest: float
    balance: float
    validation: tuple[float, ...]

    @property
    def level_range(self) -> tuple[float, float]:
        """Faint noise is no matter, down to none."""
        return 0.0, self.high

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """Each crop with noise of its own level, all through one kernel, drawn anew for each batch."""
        sigma = random_levels(self.low, self.high, self.power, len(clean), generator)
        return _blurred(clean, self._kernel(generator), sigma, generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops through a Gaussian of two pixels, with noise of one level."""
        return _blurred(clean, gaussian_kernel(VALIDATION_SIGMA), torch.full((len(clean),), level / LEVELS), generator)

    def _kernel(self, generator: torch.Generator) -> Tensor:
        def draw(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator))

        kind = int(torch.randint(3, (), generator=generator)) if self.longest else 0
        if kind == 0:
            return gaussian_kernel(draw(self.narrow, self.wide))
        if kind == 1:
            return motion_kernel(draw(1, self.longest), draw(0, 180))
        turns = torch.randn(_TURNS, generator=generator, dtype=torch.float64).cumsum(0)
        directions = turns.repeat_interleave(_TURNS)
        path = torch.stack((directions.sin(), directions.cos())).cumsum(1)
        centred = path - path.mean(1, keepdim=True)
        scale = draw(1, self.longest) / (2 * float(centred.abs().max()))
        return path_kernel(*(scale * centred))


def _blurred(clean: Tensor, kernel: Tensor, sigma: Tensor, generator: torch.Generator) -> Measurement:
    physics = CircularBlur(kernel)
    noise = torch.randn(clean.shape, generator=generator)
    y = physics.A(clean) + sigma[:, None, None, None] * noise
    return Measurement(y, y, sigma, sigma, physics)
