"""Reconstructing an image from a part of its k-space by total variation, which no training has to precede."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from restorekit.errors import UsageError
from restorekit.inference.plug_and_play import Watch
from restorekit.inference.runner import RunReport, RunSettings, inference, resolve_device
from restorekit.numerics.patches import within_memory
from restorekit.physics.kspace import SampledFourier, channels_of, complex_of
from restorekit.solvers.differentiation import relative_change
from restorekit.solvers.split_bregman import total_variation

TV = "tv"
"""What the method is called where a model could be named."""
TV_ITERATIONS = 100

_TV_WEIGHT = 0.7
_LEAST_TV_WEIGHT = 1e-3
"""Without noise a small weight does: what was measured is kept, and the rest has the least variation."""


@dataclass(frozen=True)
class TotalVariation:
    """A `cs_mri.CsMri`: the image of least total variation.

    Raises:
        UsageError: less than one iteration. DeviceError: no such device.
    """

    settings: RunSettings
    iterations: int = TV_ITERATIONS

    def __post_init__(self) -> None:
        resolve_device(self.settings.device)
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations make no image; use 1 or more")

    @property
    def name(self) -> str:
        """There is but one quality."""
        return TV

    @property
    def model(self) -> str:
        """It is not one of the zoo."""
        return TV

    def check_noise(self, noise: float) -> None:
        """Any will do."""

    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """See `cs_mri.CsMri`."""
        device = resolve_device(self.settings.device)
        started = time.perf_counter()
        told = None if watch is None else changes_told(watch)

        def reconstruct() -> Tensor:
            return tv_reconstruction(physics, y.to(device), noise, iterations=self.iterations, watch=told).cpu()

        image = within_memory(reconstruct)
        return image, RunReport(str(device), 1, time.perf_counter() - started)


@inference()
def tv_reconstruction(
    physics: SampledFourier,
    y: Tensor,
    noise: float,
    *,
    iterations: int = TV_ITERATIONS,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """The image of least total variation that agrees with k-space y [B, 2, H, W]: [B, 1 or 2, H, W].

    Works at any scale of y; noise as in `cs_mri.CsMri`. `watch` is told the image after each iteration.
    """
    adjoint = physics.A_adjoint(y)
    scale = peak_of(adjoint)
    if scale == 0:
        return adjoint
    weight = max(_TV_WEIGHT * noise / scale, _LEAST_TV_WEIGHT)
    is_real = adjoint.shape[1] == 1
    values = adjoint / scale if is_real else complex_of(adjoint / scale)[:, None]

    def image(x: Tensor) -> Tensor:
        return scale * (x if is_real else channels_of(x[:, 0]))

    told = None if watch is None else lambda x: watch(image(x))
    return image(total_variation(values, physics.spectrum.to(adjoint), weight, iterations=iterations, watch=told))


def changes_told(watch: Watch) -> Callable[[Tensor], None]:
    """A function of one iterate [1, C, H, W] after another, that tells `watch` each with its relative change."""
    before: list[Tensor] = []

    def tell(x: Tensor) -> None:
        change = float(relative_change(before.pop(), x)[0]) if before else 1.0
        before.append(x)
        watch(x, change)

    return tell


def peak_of(images: Tensor) -> float:
    """The greatest magnitude in images [B, 1 or 2, H, W]."""
    return float(images.norm(dim=1).max())
