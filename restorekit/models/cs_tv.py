"""Compressed sensing with trainable total variation (CS-TV): a step down the prior, then the data, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.models.cs_network import KspaceNetwork
from restorekit.models.settings import SettingsReader
from restorekit.priors.total_variation import TrainableVariation

INITIAL_MOMENTUM = 0.5


@dataclass(frozen=True)
class CsTvSettings:
    """What fixes the shapes of a `CsTv` network.

    channels: 1 real, 2 complex images. steps: K. knots: levels in [0, 1] at which its numbers are stored.
    """

    channels: int
    steps: int
    knots: tuple[float, ...]

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> CsTvSettings:
        """From the settings on a model card. Raises WeightsError if they do not describe a network."""
        given = SettingsReader.of(settings, cls, "cs-tv")
        return cls(given.count("channels"), given.count("steps"), given.levels("knots"))


class CsTv(KspaceNetwork):
    """z_k = u_k - grad psi(u_k),   u_k = x_k + m_k (x_k - x_{k-1}),   psi being `TrainableVariation`.

    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4, pixel
    reconstruction. There the data term makes a gradient step, here an exact one; the momentum m_k is added. The error
    tau is one for all steps: where samples have no noise it hardly counts.
    """

    def __init__(self, settings: CsTvSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots, errors=1)
        self.settings = settings
        self.variation = TrainableVariation(settings.steps, settings.knots)
        self.momentum = nn.Parameter(torch.full((settings.steps,), INITIAL_MOMENTUM))

    @property
    def patch_size(self) -> int:
        """An image may be a single pixel."""
        return 1

    @property
    def repeated(self) -> nn.Module:
        """The gradient of the prior."""
        return self.variation

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Tensor]:
        weights, widths = self.variation.numbers(level)
        before: list[Tensor] = []

        def estimate(k: int, x: Tensor) -> Tensor:
            ahead = x + self.momentum[k] * (x - before.pop()) if before else x
            before.append(x)
            step: Tensor = self.variation(ahead, weights[k], widths[k])
            return ahead - step

        return estimate
