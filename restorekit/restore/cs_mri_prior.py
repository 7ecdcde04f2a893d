"""Reconstructing an image from a part of its k-space with a denoiser as the prior, from total variation on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from restorekit.inference.plug_and_play import Watch, check_noise, solve
from restorekit.inference.runner import RunReport, RunSettings, resolve_device
from restorekit.physics.kspace import SampledFourier
from restorekit.restore.cs_mri_tv import peak_of, tv_reconstruction
from restorekit.solvers.admm import Splitting
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection, check_prior

CS_MRI_SPLITTING = Splitting(iterations=12, first=15 / 255, last=3.0, weight=0.25, least_noise=1 / 255)
"""Chosen on training slices. The noise level that is started from goes with the share of k-space that is missing."""

_HEADROOM = 1.05
_LEAST_GAMMA = 1e-4
"""A smaller weight of the prior would magnify the rounding of float32 at what was not measured."""
_COMPLEX_CONTRAST = 0.5
"""By which real and imaginary parts, within [-1, 1], are scaled to fit the denoiser's [0, 1]."""


@dataclass(frozen=True)
class DenoiserPrior:
    """A `cs_mri.CsMri`: total variation, then half-quadratic splitting from there, then the samples once more.

    Args:
        models: of one denoiser of grey images.
        settings: device, tile size, quality.
        steps: None for as many as were found to be enough.

    Raises:
        UsageError: less than one step. DeviceError: no such device. ModelMismatchError: a model for colour, or for a
            part of the noise levels.
    """

    models: ModelSelection
    settings: RunSettings
    steps: int | None = None

    def __post_init__(self) -> None:
        resolve_device(self.settings.device)
        check_prior(self.denoiser.card)
        _ = self.splitting

    @property
    def name(self) -> str:
        """Such as `denoise-gray-sc (best)`."""
        return f"{self.model} ({self.settings.quality.value})"

    @property
    def model(self) -> str:
        """The name of the denoiser."""
        return self.denoiser.card.name

    @property
    def denoiser(self) -> LoadedModel:
        """The prior."""
        return self.models.fitting(1)

    @property
    def iterations(self) -> int:
        """How often it denoises."""
        return self.splitting.iterations

    @property
    def splitting(self) -> Splitting:
        """The schedule."""
        return CS_MRI_SPLITTING if self.steps is None else replace(CS_MRI_SPLITTING, iterations=self.steps)

    def check_noise(self, noise: float) -> None:
        """Raise UsageError for a noise level, in [0, 1], that the denoiser was not made for."""
        check_noise(noise, self.models)

    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """See `cs_mri.CsMri`. Of a complex image, real and imaginary part are denoised as two images."""
        device = resolve_device(self.settings.device)
        start = tv_reconstruction(physics, y, noise)
        scale = _HEADROOM * peak_of(start)
        if scale == 0:
            return start, RunReport(str(device), 0, 0.0)
        y, noise = (y / scale).to(device), noise / scale
        exactness = (noise / max(noise, self.splitting.least_noise)) ** 2
        contrast = 1.0 if start.shape[1] == 1 else _COMPLEX_CONTRAST
        splitting = replace(
            self.splitting,
            first=contrast * self.splitting.first * (1 - physics.share),
            least_noise=contrast * self.splitting.least_noise,
        )

        def prox(images: Tensor, rho: Tensor) -> Tensor:
            # The noise is taken for more than it is for the denoiser's sake alone; samples are as exact as they are.
            gamma = (exactness * rho).clamp_min(_LEAST_GAMMA)
            return _to_images(physics.prox_l2(_from_images(images), y, gamma))

        def tell(images: Tensor, change: float) -> None:
            if watch is not None:
                watch(scale * _from_images(images), change)

        guess = _to_images((start / scale).to(device))
        images, report = solve(self.denoiser, prox, guess, contrast * noise, splitting, self.settings, watch=tell)
        gamma = exactness * float(splitting.schedule(contrast * noise).rhos[-1])
        final = physics.prox_l2(_from_images(images), y, max(gamma, _LEAST_GAMMA))
        return scale * final.cpu(), report


def _to_images(x: Tensor) -> Tensor:
    """[1, 1, H, W] as it is; [1, 2, H, W] with values in [-1, 1] as two images [2, 1, H, W] with values in [0, 1]."""
    return x if x.shape[1] == 1 else _COMPLEX_CONTRAST * (x.transpose(0, 1) + 1)


def _from_images(images: Tensor) -> Tensor:
    return images if len(images) == 1 else images.transpose(0, 1) / _COMPLEX_CONTRAST - 1
