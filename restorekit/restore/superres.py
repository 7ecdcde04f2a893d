"""Enlarging pictures: the high resolution of which a picture is the bicubic downsampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from restorekit.image import Picture
from restorekit.physics.decimation import bicubic_decimation
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.boundary import extend_periodic
from restorekit.restore.choice import ModelChoice
from restorekit.restore.engine import RunReport, RunSettings, as_batch, as_pixels, resolve_device
from restorekit.restore.plug_and_play import Splitting, Watch, check_noise, noise_of, solve
from restorekit.zoo import LoadedModel

SUPERRES_SPLITTINGS = {
    scale: Splitting(iterations, first=20 / 255, last=None, weight=2.0, least_noise=1 / 255)
    for scale, iterations in ((2, 5), (3, 12), (4, 12))
}
"""Chosen at scales 2 and 3 on crops of training photographs; half-quadratic splitting was worse than no prior there."""

_MARGIN = 8
"""Pixels of low resolution that a picture is extended by."""


class Superres:
    """An operation for `run_batch`: argmin of 1/2 ||A x - y||^2 + prior(x), A bicubic downsampling by `scale`.

    Args:
        scale: 2, 3 or 4.
        noise: standard deviation in [0, 1], or None to estimate it on each picture.
        models: denoisers to choose from.
        settings: device, tile size, quality.
        iterations: None for as many as were found to be enough.
        watch: called after each iteration on a picture.

    Raises:
        UsageError: no such scale or device, or a noise level that the models were not made for.

    """

    def __init__(
        self,
        scale: int,
        noise: float | None,
        models: ModelChoice,
        settings: RunSettings,
        iterations: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        resolve_device(settings.device)
        bicubic_decimation(scale)
        if noise is not None:
            check_noise(noise, models)
        self._scale = scale
        self._noise = noise
        self._models = models
        self._settings = settings
        splitting = SUPERRES_SPLITTINGS[scale]
        self._splitting = splitting if iterations is None else replace(splitting, iterations=iterations)
        self._watch = watch

    def __call__(self, picture: Picture) -> Restored:
        """The picture at `scale` times its height and width, in the same depth; alpha by bicubic interpolation."""
        model = self._models.fitting(1 if picture.is_grey else 3)
        observed = picture.to_float()
        noise, notes = noise_of(observed, self._noise, model)
        pixels, report = superres_array(
            observed, self._scale, noise, model, self._settings, self._splitting, self._watch
        )
        enlarged = resized(picture, lambda images: enlarge_bicubic(images, self._scale)).with_float(pixels)
        return Restored(
            enlarged,
            model=model.card.name,
            parameters=(("scale", self._scale), ("noise", 255 * noise), ("iterations", self._splitting.iterations)),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=scale_notes(picture) + notes,
        )


@dataclass(frozen=True)
class SuperresArray:
    """A method to be measured at `BicubicDownsampling`: a denoiser at one quality as the prior."""

    models: ModelChoice
    settings: RunSettings

    @property
    def name(self) -> str:
        """Such as `default (best)`."""
        return self.models.name_at(self.settings.quality)

    def __call__(self, observed: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
        """A small image [h, w] or [h, w, 3] and the scale -> the estimate in [0, 1], [scale h, scale w] alike."""
        model = self.models.fitting(1 if observed.ndim == 2 else 3)
        return superres_array(observed, scale, 0.0, model, self.settings, SUPERRES_SPLITTINGS[scale])[0]


def superres_array(
    observed: NDArray[np.float32],
    scale: int,
    noise: float,
    model: LoadedModel,
    settings: RunSettings,
    splitting: Splitting,
    watch: Watch | None = None,
) -> tuple[NDArray[np.float32], RunReport]:
    """An image [h, w] or [h, w, 3] -> one of `scale` times the height and width, in [0, 1].

    It is extended by about its mirror image, which agrees with what torch does at edges: see `bicubic_decimation`.
    """
    height, width = observed.shape[:2]
    y = extend_periodic(as_batch(observed, resolve_device(settings.device)), _MARGIN)
    physics = bicubic_decimation(scale)
    x, report = solve(
        model,
        lambda z, rho: physics.prox_l2(z, y, rho),
        enlarge_bicubic(y, scale),
        noise,
        splitting,
        settings,
        (scale * height, scale * width),
        watch,
    )
    return as_pixels(x, observed.ndim), report


def enlarge_bicubic(images: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation with a = -0.75: [B, C, h, w] -> [B, C, scale h, scale w], which may leave [0, 1]."""
    return interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


def shrink_bicubic(images: Tensor, scale: int) -> Tensor:
    """Bicubic interpolation of torch, a = -0.75, without antialiasing: [B, C, H, W] -> [B, C, H // scale, W // scale].

    Rows and columns at the bottom and right beyond multiples of the scale are left out.
    """
    height, width = (side - side % scale for side in images.shape[-2:])
    size = (height // scale, width // scale)
    return interpolate(images[..., :height, :width], size=size, mode="bicubic", align_corners=False, antialias=False)


def resized(picture: Picture, resize: Callable[[Tensor], Tensor]) -> Picture:
    """A picture of another size by a function of images [B, C, H, W], alpha likewise, in the same depth."""

    def apply(part: Picture) -> Picture:
        pixels = as_pixels(resize(as_batch(part.to_float(), torch.device("cpu"))), part.pixels.ndim)
        return replace(part, pixels=np.empty(pixels.shape, part.pixels.dtype)).with_float(pixels)

    if picture.alpha is None:
        return apply(picture)
    return replace(apply(picture), alpha=apply(Picture(picture.alpha, picture.metadata)).pixels)
