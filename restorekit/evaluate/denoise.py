"""Denoising as something to measure: seeded Gaussian noise on clean images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restorekit.errors import UsageError
from restorekit.evaluate.baselines import Baseline, baseline
from restorekit.evaluate.benchmark import SCORING
from restorekit.evaluate.results import Level
from restorekit.image import Picture
from restorekit.physics.noise import add_gaussian_noise

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GaussianNoise:
    """The `Degradation` y = x + sigma n, n standard normal: one draw an image, scaled to each noise level.

    levels: sigmas in [0, 1].

    Raises:
        UsageError: a level that is none.
    """

    levels: tuple[float, ...]
    task: str = "denoise"
    axis: str = "sigma"
    protocol: str = (
        "Seeded Gaussian noise, its sigma on the scale 0..255, is added in float32, neither clipped nor rounded. "
        + SCORING
    )

    def __post_init__(self) -> None:
        if not all(0 <= sigma < math.inf for sigma in self.levels):
            levels = ", ".join(f"{255 * sigma:g}" for sigma in self.levels)
            raise UsageError(f"noise levels must be numbers of at least 0, not: {levels}")

    @property
    def untouched(self) -> Baseline:
        """The noisy image itself."""
        return baseline("noisy")

    def prepare(self, picture: Picture) -> Image:
        """Grey or colour, as the picture is."""
        return picture.to_float()

    def observe(self, clean: Image, level: float, seed: int) -> Image:
        """The clean image with noise."""
        return add_gaussian_noise(clean, level, seed)

    def describe(self, level: float) -> Level:
        """Such as `sigma 25`, on the scale 0..255."""
        sigma = round(255 * level, 6)
        return Level(sigma, f"sigma {sigma:g}")
