"""What networks that reconstruct images from a part of their k-space have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.knots import KnotInterpolation
from restorekit.models.base import ReconstructionNetwork, Recording
from restorekit.physics.fourier import SampledFourier

UNMEASURED_ERROR = 10 / 255
"""The level of k-space of which nothing was measured: twice the error that zero-filling makes of brains, or so."""
LEAST_NOISE = 1 / 255
"""Where data and prior are weighed, noise below it is taken for it."""


@dataclass(frozen=True)
class Estimate:
    """What a prior makes of an image: z, [B, C, H, W], and how sure it is of each frequency, P, [B, 1, H, W].

    P weighs squares in Fourier space, ||v||^2_P = sum_f P(f) |v(f)|^2, and is the same at opposite frequencies.
    """

    image: Tensor
    certainty: Tensor | float = 1.0


class KspaceNetwork(ReconstructionNetwork):
    """x_0 = A^T y,   x_{k+1} = argmin_x 1/2 ||A x - y||^2 + gamma_k / 2 ||F (x - z_k)||^2_P_k,   z_k and P_k the
    prior's `Estimate`.

    gamma_k = (sigma^2 + sigma_0^2) / tau_k^2, with tau_k, the error of z_k, learned. All that is learned is the same
    for every pattern of samples; what depends on how many there are is stored at knots of the level. Images and their
    k-space are divided by the greatest magnitude of x_0, so that they may have any scale.
    """

    INITIAL_ERROR = 10 / 255

    def __init__(self, channels: int, steps: int, knots: tuple[float, ...], errors: int | None = None) -> None:
        """errors: how many tau there are, `steps` or 1 for all of them; as many as steps if None."""
        super().__init__()
        self._channels, self._steps = channels, steps
        self.log_error = nn.Parameter(torch.full((len(knots), errors or steps), self.INITIAL_ERROR).log())
        self.interpolate = KnotInterpolation(knots)

    @property
    def channels(self) -> int:
        """Of the images it was made for: 1 for real, 2 for complex ones; it takes both."""
        return self._channels

    @property
    def steps(self) -> int:
        """How often prior and data take turns, K."""
        return self._steps

    def forward(self, recording: Recording, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """The last iterate; see `ReconstructionNetwork.forward`. Images are never cut into tiles."""
        return deque(self.iterates(recording, stride), maxlen=1).pop()

    def iterates(self, recording: Recording, stride: int) -> Iterator[Tensor]:
        """x_1 to x_K, [B, C, H, W], of a recording that `k_space_recording` made."""
        peak = recording.start.norm(dim=1, keepdim=True).amax((2, 3), keepdim=True)
        unit = torch.where(peak > 0, peak, torch.ones_like(peak))
        y, x, noise = recording.y / unit, recording.start / unit, recording.noise / unit[:, 0, 0, 0]
        error: Tensor = self.interpolate(self.log_error, recording.level).exp()
        gammas = ((noise.square() + LEAST_NOISE**2)[:, None] / error.square()).expand(-1, self.steps)
        estimate = self._prior(recording.level, noise, stride)
        for k, gamma in enumerate(gammas.T[..., None, None, None]):
            z = estimate(k, x)
            x = recording.physics.prox_l2(z.image, y, gamma * z.certainty)
            yield peak * x

    @abstractmethod
    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        """From k and x_k, whose magnitudes are about 1 at most, to z_k and P_k; called for each k in turn.

        level, noise: of each image, [B].
        """


def k_space_recording(physics: SampledFourier, y: Tensor, noise: Tensor) -> Recording:
    """k-space y [B, 2, H, W], on any scale, with noise [B] on the same: what a `KspaceNetwork` reconstructs from.

    The level is (1 - share) 10 / 255, the share being that of the frequencies that are known; of a real image a
    frequency is known if its opposite is.
    """
    share = float((physics.spectrum > 0).double().mean())
    level = y.new_full((y.shape[0],), (1 - share) * UNMEASURED_ERROR)
    return Recording(physics, y, physics.A_adjoint(y), level, noise)
