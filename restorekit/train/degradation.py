"""What training does to clean crops: noise, JPEG compression, a colour mosaic - whichever section the recipe has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from restorekit.image import recompress
from restorekit.models import Measurement
from restorekit.physics.jpeg import error_level, standard_table
from restorekit.physics.mosaic import INTERPOLATION_ERROR, bayer_mask, interpolate
from restorekit.types import BayerPattern

JPEG_BLOCK = 8
"""Pixels across a block of JPEG's luma."""

LEVELS = 255.0
"""Levels in recipes are on the 0..255 scale, as on the command line."""


class Degradation(Protocol):
    """How clean crops [B, C, H, W] in [0, 1] become observations."""

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest level, on the users' scale, for the model card."""

    @property
    def validation(self) -> tuple[float, ...]:
        """The levels to validate at, on the users' scale."""

    @property
    def balance(self) -> float:
        """A crop's squared error is weighed by (level / 25)^-balance, so that faint and strong levels count alike."""

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """Degrade each crop by a random level."""

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """Degrade all crops by one level of the users' scale."""


@dataclass(frozen=True)
class NoiseSettings:
    """Gaussian noise, sigma = low + (high - low) u^power with u uniform in [0, 1]; on the 0..255 scale."""

    low: float
    high: float
    power: float
    balance: float
    validation: tuple[float, ...]

    @property
    def level_range(self) -> tuple[float, float]:
        """From `low` to `high`; a model for noise as faint as a step of 8 bits serves down to none."""
        return 0.0 if self.low <= 1 else self.low, self.high

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """Each crop with noise of its own level."""
        sigma = random_levels(self.low, self.high, self.power, len(clean), generator)
        return self._noisy(clean, sigma, generator)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops with noise of one level."""
        return self._noisy(clean, torch.full((len(clean),), level / LEVELS), generator)

    @staticmethod
    def _noisy(clean: Tensor, sigma: Tensor, generator: torch.Generator) -> Measurement:
        noise = torch.randn(clean.shape, generator=generator)
        y = clean + sigma[:, None, None, None] * noise
        return Measurement(y, y, sigma, sigma)


@dataclass(frozen=True)
class JpegSettings:
    """JPEG compression of luma with quality factors 1..100, drawn so that log(error_level) is uniform between two.

    A share `shifted` of the crops has its blocks begin anywhere, as in a picture that was cut after it was compressed.
    In a share `chroma` of the steps crops are of Cb or Cr instead, at the resolution they are stored in, with the
    tables and the level of chroma; validation is on luma.
    """

    low: int
    high: int
    balance: float
    validation: tuple[float, ...]
    shifted: float = 0.0
    chroma: float = 0.0

    @property
    def level_range(self) -> tuple[float, float]:
        """Least and greatest quality factor."""
        return float(self.low), float(self.high)

    def draw(self, clean: Tensor, generator: torch.Generator, *, chroma: bool = False) -> Measurement:
        """Each crop, of luma or of chroma, compressed with its own quality."""
        odds = self._odds()
        drawn = torch.multinomial(odds, len(clean), replacement=True, generator=generator)
        offsets = torch.zeros(len(clean), 2, dtype=torch.int64)
        if self.shifted:
            elsewhere = torch.rand(len(clean), 1, generator=generator) < self.shifted
            offsets = torch.randint(JPEG_BLOCK, offsets.shape, generator=generator) * elsewhere
        return self._compressed(clean, [self.low + int(place) for place in drawn], offsets.tolist(), chroma=chroma)

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops compressed with one quality."""
        return self._compressed(clean, [round(level)] * len(clean), [(0, 0)] * len(clean))

    def _odds(self) -> Tensor:
        """For each quality the stretch of log(error_level) that is nearest to it."""
        levels = torch.tensor([error_level(quality) for quality in range(self.low, self.high + 1)]).log()
        return torch.gradient(levels)[0].abs()

    @staticmethod
    def _compressed(
        clean: Tensor, qualities: Sequence[int], offsets: Sequence[Sequence[int]], *, chroma: bool = False
    ) -> Measurement:
        pixels = (clean[:, 0] * LEVELS).round().to(torch.uint8).numpy()
        worse = []
        for crop, quality, (down, right) in zip(pixels, qualities, offsets, strict=True):
            more = np.pad(crop, ((down, 0), (right, 0)), mode="reflect")
            table = standard_table(quality, chroma=chroma).tolist()
            worse.append(recompress(more, table)[down:, right:])
        level = torch.tensor([error_level(quality, chroma=chroma) for quality in qualities])
        y = torch.from_numpy(np.stack(worse))[:, None].float() / LEVELS
        return Measurement(y, y, level, level)


@dataclass(frozen=True)
class MosaicSettings:
    """A Bayer mosaic of a random pattern, interpolated linearly; the mask tells what was observed."""

    balance: float = 0.0

    @property
    def level_range(self) -> tuple[float, float]:
        """There are no levels."""
        return 0.0, 0.0

    @property
    def validation(self) -> tuple[float, ...]:
        """One entry, for there are no levels."""
        return (0.0,)

    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        """All crops through the same pattern, drawn anew for each batch."""
        patterns = list(BayerPattern)
        return self._mosaics(clean, patterns[int(torch.randint(len(patterns), (), generator=generator))])

    def at(self, clean: Tensor, level: float, generator: torch.Generator) -> Measurement:
        """All crops through the pattern rggb."""
        return self._mosaics(clean, BayerPattern.RGGB)

    @staticmethod
    def _mosaics(clean: Tensor, pattern: BayerPattern) -> Measurement:
        mask = bayer_mask(clean.shape[2], clean.shape[3], pattern).permute(2, 0, 1).expand_as(clean)
        filled = interpolate((clean * mask).sum(1, keepdim=True), pattern)
        level = torch.full((len(clean),), INTERPOLATION_ERROR)
        return Measurement(filled, filled, level, level, mask=mask)


def random_levels(low: float, high: float, power: float, count: int, generator: torch.Generator) -> Tensor:
    """Noise levels (low + (high - low) u^power) / 255 with u uniform in [0, 1], [count]."""
    uniform = torch.rand(count, generator=generator)
    return (low + (high - low) * uniform**power) / LEVELS
