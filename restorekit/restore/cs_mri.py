"""Reconstructing an image from a part of its k-space, with total variation as the start and a denoiser as the prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from restorekit.physics.fourier import SampledFourier, SampledFourierOfReal, channels_of, complex_of
from restorekit.restore.choice import ModelChoice
from restorekit.restore.engine import RunReport, RunSettings, resolve_device
from restorekit.restore.plug_and_play import Splitting, check_noise, solve
from restorekit.solvers.total_variation import total_variation
from restorekit.zoo import LoadedModel

TASK = "cs-mri"

PRIOR_MODEL = "denoise-gray-sc"
"""The denoiser where none is named: one without similar patches, which would take thirty times as long."""

CS_MRI_SPLITTING = Splitting(iterations=12, first=15 / 255, last=3.0, weight=0.25, least_noise=1 / 255)
"""Chosen on training slices. The noise level that is started from goes with the share of k-space that is missing."""

_TV_WEIGHT = 0.7
_LEAST_TV_WEIGHT = 1e-3
"""Without noise a small weight does: what was measured is kept, and the rest has the least variation."""
_HEADROOM = 1.05
_LEAST_GAMMA = 1e-4
"""A smaller weight of the prior would magnify the rounding of float32 at what was not measured."""
_COMPLEX_CONTRAST = 0.5
"""By which real and imaginary parts, within [-1, 1], are scaled to fit the denoiser's [0, 1]."""


@dataclass(frozen=True)
class CsMri:
    """The method: total variation, then half-quadratic splitting from there, then the samples once more.

    Args:
        models: denoisers of grey images to choose from.
        settings: device, tile size, quality.
        iterations: None for as many as were found to be enough.

    Raises:
        UsageError: no such device, less than one iteration.
        ModelNotFoundError: the default model is not installed. ModelMismatchError: a model for colour.
    """

    models: ModelChoice
    settings: RunSettings
    iterations: int | None = None

    def __post_init__(self) -> None:
        resolve_device(self.settings.device)
        self.models.fitting(1)
        _ = self.splitting

    @property
    def name(self) -> str:
        """Such as `denoise-gray-sc (best)`."""
        return f"{self.model.card.name} ({self.settings.quality.value})"

    @property
    def model(self) -> LoadedModel:
        """The denoiser."""
        return self.models.fitting(1)

    @property
    def splitting(self) -> Splitting:
        """The schedule."""
        return CS_MRI_SPLITTING if self.iterations is None else replace(CS_MRI_SPLITTING, iterations=self.iterations)

    def check_noise(self, noise: float) -> None:
        """Raise UsageError for a noise level, in [0, 1], that the model was not made for."""
        check_noise(noise, self.models)

    def __call__(self, physics: SampledFourier, y: Tensor, noise: float) -> tuple[Tensor, RunReport]:
        """k-space y [1, 2, H, W] of any scale -> the image [1, 1 or 2, H, W], on the CPU.

        noise: its standard deviation in y's own unit, in the real and in the imaginary part. An image known to be real
        is known not to be negative either. Of a complex image, real and imaginary part are denoised as two images.
        """
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

        guess = _to_images((start / scale).to(device))
        images, report = solve(self.model, prox, guess, contrast * noise, splitting, self.settings)
        gamma = exactness * float(splitting.schedule(contrast * noise).rhos[-1])
        final = physics.prox_l2(_from_images(images), y, max(gamma, _LEAST_GAMMA))
        return scale * final.cpu(), report


def tv_reconstruction(physics: SampledFourier, y: Tensor, noise: float) -> Tensor:
    """The image of least total variation that agrees with k-space y [B, 2, H, W]: [B, 1 or 2, H, W].

    Works at any scale of y; noise as in `CsMri`.
    """
    adjoint = physics.A_adjoint(y)
    scale = peak_of(adjoint)
    if scale == 0:
        return adjoint
    weight = max(_TV_WEIGHT * noise / scale, _LEAST_TV_WEIGHT)
    spectrum = physics.spectrum.to(adjoint)
    if adjoint.shape[1] == 1:
        return scale * total_variation(adjoint / scale, spectrum, weight)
    values = complex_of(adjoint / scale)[:, None]
    return scale * channels_of(total_variation(values, spectrum, weight)[:, 0])


def sampled_fourier(mask: Tensor, *, real: bool) -> SampledFourier:
    """The operator for real or for complex images."""
    return SampledFourierOfReal(mask) if real else SampledFourier(mask)


def peak_of(images: Tensor) -> float:
    """The greatest magnitude in images [B, 1 or 2, H, W]."""
    return float(images.norm(dim=1).max())


def _to_images(x: Tensor) -> Tensor:
    """[1, 1, H, W] as it is; [1, 2, H, W] with values in [-1, 1] as two images [2, 1, H, W] with values in [0, 1]."""
    return x if x.shape[1] == 1 else _COMPLEX_CONTRAST * (x.transpose(0, 1) + 1)


def _from_images(images: Tensor) -> Tensor:
    return images if len(images) == 1 else images.transpose(0, 1) / _COMPLEX_CONTRAST - 1
