"""MRI reconstruction: from a part of k-space to an image, by total variation, a network, or a denoiser as the prior."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from restorekit.errors import UsageError
from restorekit.inference.plug_and_play import Watch, solve
from restorekit.inference.runner import inference, resolve_device
from restorekit.models.kspace import KspaceNetwork, kspace_measurement
from restorekit.numerics.patches import within_memory
from restorekit.physics.kspace import SampledFourier, channels_of, complex_of
from restorekit.solvers.admm import Splitting, total_variation
from restorekit.solvers.differentiation import relative_change
from restorekit.types import RunReport, RunSettings
from restorekit.zoo import LoadedModel

TV_ITERATIONS = 100
TV_WEIGHT, _LEAST_TV_WEIGHT = 0.7, 1e-3
"""Without noise a small weight does: measured frequencies are kept, and the rest has the least variation."""
ITERATIONS, _FIRST, _LAST, _WEIGHT, _LEAST_NOISE = 12, 15 / 255, 3.0, 0.25, 1 / 255
"""The splitting for denoisers, chosen on training slices. The noise level at the start goes with the share of k-space
that is missing."""
_HEADROOM = 1.05
_LEAST_GAMMA = 1e-4
"""A smaller weight of the prior would magnify the rounding of float32 at frequencies that were not measured."""
_COMPLEX_CONTRAST = 0.5
"""The scale of real and imaginary parts, within [-1, 1], that makes them fit the denoiser's [0, 1]."""


@dataclass(frozen=True)
class MriMethod(ABC):
    """From k-space to an image. iterations: how often prior and data take turns. Raises UsageError: less than once."""

    settings: RunSettings
    iterations: int

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations make no image; use 1 or more")

    def check_noise(self, noise: float) -> None:  # noqa: B027 - most methods take any noise
        """Raise UsageError for a sigma in [0, 1] that the method was not made for."""

    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """Return the image [1, 1 or 2, H, W], on the CPU, of k-space y [1, 2, H, W] of any scale.

        noise: its standard deviation in y's own unit, in the real and in the imaginary part. `watch` is told the image
        after each iteration.
        """
        device = resolve_device(self.settings.device)
        started = time.perf_counter()
        advice = "try --quality fast or --model tv"
        with inference():
            image = within_memory(lambda: self._reconstruct(physics, y.to(device), noise, watch).cpu(), advice)
        return image, RunReport(str(device), 1, time.perf_counter() - started)

    @abstractmethod
    def _reconstruct(self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None) -> Tensor:
        """Return the image on the device of y."""


class TotalVariationMethod(MriMethod):
    """The image of least total variation, which no training has to precede."""

    @override
    def _reconstruct(self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None) -> Tensor:
        return tv_reconstruction(physics, y, noise, iterations=self.iterations, watch=_told(watch))


@dataclass(frozen=True)
class NetworkMethod(MriMethod):
    """A network that was trained for MRI. The quality is the stride of its patches, or the number of dihedral views."""

    loaded: LoadedModel

    @override
    def _reconstruct(self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None) -> Tensor:
        network = self.loaded.network
        assert isinstance(network, KspaceNetwork)
        measurement = kspace_measurement(physics, y, y.new_full((len(y),), noise))
        tell, image = _told(watch), measurement.x0
        for image in network.to(y.device).iterates(measurement, self.settings.quality.stride):
            if tell is not None:
                tell(image)
        return image


@dataclass(frozen=True)
class DenoiserMethod(MriMethod):
    """Total variation, then half-quadratic splitting with a denoiser as the prior, then the samples once more."""

    loaded: LoadedModel

    @override
    def check_noise(self, noise: float) -> None:
        high = self.loaded.card.conditioning_range[1]
        if not 0 <= round(255 * noise, 6) <= high:
            raise UsageError(
                f"noise {255 * noise:g} is more than {self.loaded.card.name} was made for; "
                f"use a number from 0 to {high:g} (on the scale 0..255)"
            )

    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """See `MriMethod`. Of a complex image, real and imaginary part are denoised as two images."""
        device = resolve_device(self.settings.device)
        x0 = tv_reconstruction(physics, y, noise)
        scale = _HEADROOM * peak_of(x0)
        if scale == 0:
            return x0, RunReport(str(device), 0, 0.0)
        y, noise = (y / scale).to(device), noise / scale
        exactness = (noise / max(noise, _LEAST_NOISE)) ** 2
        contrast = 1.0 if x0.shape[1] == 1 else _COMPLEX_CONTRAST
        first = contrast * _FIRST * (1 - physics.share)
        splitting = Splitting(self.iterations, first, _LAST, _WEIGHT, contrast * _LEAST_NOISE)

        def prox(images: Tensor, rho: Tensor) -> Tensor:
            # The noise is taken for more than it is for the denoiser's sake alone; samples are as exact as they are.
            gamma = (exactness * rho).clamp_min(_LEAST_GAMMA)
            return _to_images(physics.prox_l2(_from_images(images), y, gamma))

        def tell(images: Tensor, change: float) -> None:
            if watch is not None:
                watch(scale * _from_images(images), change)

        guess = _to_images((x0 / scale).to(device))
        images, report = solve(self.loaded, prox, guess, contrast * noise, splitting, self.settings, watch=tell)
        gamma = exactness * float(splitting.schedule(contrast * noise).rhos[-1])
        final = physics.prox_l2(_from_images(images), y, max(gamma, _LEAST_GAMMA))
        return scale * final.cpu(), report

    @override
    def _reconstruct(self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None) -> Tensor:
        return self(physics, y, noise, watch)[0]


def _to_images(x: Tensor) -> Tensor:
    """Return [1, 1, H, W] as it is; [1, 2, H, W] within [-1, 1] as two images [2, 1, H, W] within [0, 1]."""
    return x if x.shape[1] == 1 else _COMPLEX_CONTRAST * (x.transpose(0, 1) + 1)


def _from_images(images: Tensor) -> Tensor:
    return images if len(images) == 1 else images.transpose(0, 1) / _COMPLEX_CONTRAST - 1


def tv_reconstruction(
    physics: SampledFourier,
    y: Tensor,
    noise: float,
    *,
    iterations: int = TV_ITERATIONS,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Return the images of least total variation, [B, 1 or 2, H, W], that agree with k-space y [B, 2, H, W].

    Works at any scale of y; noise as in `MriMethod`. `watch` is told the image after each iteration.
    """
    with inference():
        adjoint = physics.A_adjoint(y)
        scale = peak_of(adjoint)
        if scale == 0:
            return adjoint
        weight = max(TV_WEIGHT * noise / scale, _LEAST_TV_WEIGHT)
        is_real = adjoint.shape[1] == 1
        values = adjoint / scale if is_real else complex_of(adjoint / scale)[:, None]

        def image(x: Tensor) -> Tensor:
            return scale * (x if is_real else channels_of(x[:, 0]))

        told = None if watch is None else lambda x: watch(image(x))
        return image(total_variation(values, physics.spectrum.to(adjoint), weight, iterations=iterations, watch=told))


def _told(watch: Watch | None) -> Callable[[Tensor], None] | None:
    """Return a function of one iterate [1, C, H, W] after another that tells each with its relative change."""
    if watch is None:
        return None
    before: list[Tensor] = []

    def tell(x: Tensor) -> None:
        change = float(relative_change(before.pop(), x)[0]) if before else 1.0
        before.append(x)
        watch(x, change)

    return tell


def peak_of(images: Tensor) -> float:
    """Return the greatest magnitude in images [B, 1 or 2, H, W]."""
    return float(images.norm(dim=1).max())
