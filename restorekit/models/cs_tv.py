"""Compressed sensing with trainable total variation (CS-TV): slopes that are shrunk, then the data, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from restorekit.models.cs_network import Estimate, KspaceNetwork
from restorekit.models.settings import SettingsReader
from restorekit.priors.total_variation import NEIGHBOURS, SplitVariation
from restorekit.slopes import slopes_spectra


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
    """z_k, P_k, u_k = S_k(x_k, u_{k-1}),   u_{-1} = 0,   S_k being step k of `SplitVariation`: split Bregman.

    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4, pixel
    reconstruction, for the energy; there each step follows a gradient, here it solves for x. The error tau is one for
    all steps: how large the weights w_k are says the rest.
    """

    def __init__(self, settings: CsTvSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots, errors=1)
        self.settings = settings
        self.variation = SplitVariation(settings.steps, settings.knots)

    @property
    def patch_size(self) -> int:
        """An image may be a single pixel."""
        return 1

    @property
    def repeated(self) -> nn.Module:
        """A step of the prior."""
        return self.variation

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        weights, thresholds = self.variation.numbers(level, noise)
        state: tuple[Tensor, Tensor] | None = None  # u, and the spectra of slopes

        def estimate(k: int, x: Tensor) -> Estimate:
            nonlocal state
            dual, spectra = state or (x.new_zeros(len(NEIGHBOURS), *x.shape), slopes_spectra(x, NEIGHBOURS))
            numbers = weights[k], thresholds[k], self.variation.memory[k]
            z, dual, certainty = self.variation(x, dual, spectra, *numbers)
            state = dual, spectra
            return Estimate(z, certainty)

        return estimate
