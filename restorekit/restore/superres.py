"""Enlarging pictures: the high resolution of which a picture is the bicubic downsampling."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from restorekit.errors import UsageError
from restorekit.image import Picture
from restorekit.inference.plug_and_play import Plan, Watch, check_iterations, check_noise, noise_of, plan_for, solve
from restorekit.inference.runner import RunReport, RunSettings, as_batch, as_pixels, inference, resolve_device
from restorekit.inference.windows import Windows, solve_over_windows, window_pixels
from restorekit.models import Enlarger, Measurement
from restorekit.numerics.dihedral import dihedral, mean_over_dihedral
from restorekit.numerics.patches import within_memory
from restorekit.physics.decimation import bicubic_decimation, bicubic_error
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.boundary import extend_periodic
from restorekit.solvers.admm import Splitting
from restorekit.solvers.differentiation import relative_change
from restorekit.types import Quality
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection

TASK = "superres"

SUPERRES_SPLITTINGS = {
    scale: Splitting(iterations, first=20 / 255, last=None, weight=2.0, least_noise=1 / 255)
    for scale, iterations in ((2, 5), (3, 12), (4, 12))
}
"""Chosen at scales 2 and 3 on crops of training photographs; half-quadratic splitting was worse than no prior there."""

_MARGIN = 8
"""Pixels of low resolution that a picture is extended by."""

_HALO = 20
"""Pixels of low resolution that windows of a large picture drop if a denoiser enlarges it: those of a photograph agreed
with the whole to 0.05 / 255 beyond 16."""


@dataclass(frozen=True)
class AtOnce:
    """The plan of a network that goes from the small image to the large one in a single step."""

    network: Enlarger
    iterations: int = 1


class Superres:
    """An operation for `run_batch`: argmin of 1/2 ||A x - y||^2 + prior(x), A bicubic downsampling by `scale`.

    Args:
        scale: 2, 3 or 4.
        noise: standard deviation in [0, 1], or None to estimate it on each picture.
        models: to choose from, trained to enlarge or to denoise.
        settings: device, tile size, quality.
        iterations: None for as many as were found to be enough.
        watch: called after each iteration on a picture.

    Raises:
        UsageError: no such scale or device, or a scale or noise level that the models were not made for.

    """

    def __init__(
        self,
        scale: int,
        noise: float | None,
        models: ModelSelection,
        settings: RunSettings,
        iterations: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        resolve_device(settings.device)
        bicubic_decimation(scale)
        if noise is not None:
            check_noise(noise, models, _level_of(models, scale))
        self._scale = scale
        self._noise = noise
        self._models = models
        self._settings = settings
        self._iterations = iterations
        for model in models.candidates(_level_of(models, scale)):
            superres_plan(model, scale, iterations)
        self._watch = watch

    def __call__(self, picture: Picture) -> Restored:
        """The picture at `scale` times its height and width, in the same depth; alpha by bicubic interpolation."""
        model = self._models.fitting(1 if picture.is_grey else 3, _level_of(self._models, self._scale))
        observed = picture.to_float()
        noise, notes = noise_of(observed, self._noise, model)
        plan = superres_plan(model, self._scale, self._iterations)
        pixels, report = superres_array(observed, self._scale, noise, model, self._settings, plan, self._watch)
        alpha = picture.alpha
        if alpha is not None:
            alpha = resized(Picture(alpha, picture.metadata), lambda x: enlarge_bicubic(x, self._scale)).pixels
        return Restored(
            replace(_with_pixels(picture, pixels), alpha=alpha),
            model=model.card.name,
            parameters=(("scale", self._scale), ("noise", 255 * noise), ("iterations", plan.iterations)),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=scale_notes(picture) + notes,
        )


@dataclass(frozen=True)
class SuperresArray:
    """A method to be measured at `BicubicDownsampling`: a model at one quality."""

    models: ModelSelection
    settings: RunSettings

    @property
    def name(self) -> str:
        """Such as `default (best)`."""
        return self.models.name_at(self.settings.quality)

    def __call__(self, observed: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
        """A small image [h, w] or [h, w, 3] and the scale -> the estimate in [0, 1], [scale h, scale w] alike."""
        model = self.models.fitting(1 if observed.ndim == 2 else 3, _level_of(self.models, scale))
        return superres_array(observed, scale, 0.0, model, self.settings, superres_plan(model, scale))[0]


def _level_of(models: ModelSelection, scale: int) -> int | None:
    """The scale, of which models to enlarge are made for some; None for denoisers, which then meet all noise levels."""
    return scale if models.task == TASK else None


def superres_plan(model: LoadedModel, scale: int, iterations: int | None = None) -> Plan | AtOnce:
    """How a model is used at a scale.

    Raises:
        UsageError: another scale or number of iterations than the model was trained for.
    """
    if model.card.task == TASK and not model.card.covers(scale):
        raise UsageError(f"scale {scale} is not one that {model.card.name} was made for; use {model.card.levels}")
    if isinstance(model.network, Enlarger):
        plan = AtOnce(model.network)
        check_iterations(model, plan.iterations, iterations)
        return plan
    return plan_for(model, SUPERRES_SPLITTINGS[scale], iterations, bicubic_error(scale))


def superres_array(
    observed: NDArray[np.float32],
    scale: int,
    noise: float,
    model: LoadedModel,
    settings: RunSettings,
    plan: Plan | AtOnce,
    watch: Watch | None = None,
) -> tuple[NDArray[np.float32], RunReport]:
    """An image [h, w] or [h, w, 3] -> one of `scale` times the height and width, in [0, 1].

    It is extended by about its mirror image, which agrees with what torch does at edges: see `bicubic_decimation`. A
    network that enlarges colour images is given a grey one three times over.
    """
    device, channels = resolve_device(settings.device), 1 if observed.ndim == 2 else observed.shape[2]
    seen = plan.network.channels if isinstance(plan, AtOnce) else channels
    physics = bicubic_decimation(scale)

    def solve_window(part: NDArray[np.float32]) -> tuple[NDArray[np.float32], RunReport]:
        size = scale * part.shape[0], scale * part.shape[1]
        y = extend_periodic(as_batch(part, device), _MARGIN).expand(-1, seen, -1, -1)
        start = enlarge_bicubic(y, scale)
        if isinstance(plan, AtOnce):
            level, sigma = (torch.full((1,), value, device=device) for value in (bicubic_error(scale), noise))
            measurement = Measurement(y, start, level, sigma, physics)
            x, report = _enlarged(plan.network, measurement, settings.quality, (channels, *size), watch)
        else:
            x, report = solve(
                model, lambda z, rho: physics.prox_l2(z, y, rho), start, noise, plan, settings, size, watch
            )
        return as_pixels(x, part.ndim), report

    # The first guess and the data step look one pixel further or, too little to show, everywhere.
    halo = plan.network.view + 1 if isinstance(plan, AtOnce) else _HALO
    windows = Windows(window_pixels(seen, device) // scale**2, halo, scale)
    return solve_over_windows(solve_window, observed, windows, watch)


@inference()
def _enlarged(
    network: Enlarger, measurement: Measurement, quality: Quality, shape: tuple[int, int, int], watch: Watch | None
) -> tuple[Tensor, RunReport]:
    """The first rows and columns of what a network makes of a measurement, clamped to [0, 1]: images [1, *shape], grey
    ones being the mean over the colours.

    At best it is the mean over the turns of the image: bicubic downsampling goes alike with all of them. `watch` is
    told of the step from the first guess.
    """
    started = time.perf_counter()
    network, start = network.to(measurement.y.device), measurement.x0

    def enlarge(turn: int) -> Tensor:
        estimate: Tensor = network.reconstruct(
            replace(measurement, y=dihedral(measurement.y, turn), x0=dihedral(start, turn))
        )
        return estimate

    x = within_memory(lambda: mean_over_dihedral(enlarge) if quality is Quality.BEST else enlarge(0))
    channels, height, width = shape
    estimate = x[..., :height, :width] if channels == x.shape[1] else x[..., :height, :width].mean(1, keepdim=True)
    estimate = estimate.clamp(0, 1)
    if watch is not None:
        watch(estimate, float(relative_change(start, x)))
    return estimate, RunReport(str(x.device), 1, time.perf_counter() - started)


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
        image = resize(as_batch(part.to_float(), torch.device("cpu")))
        return _with_pixels(part, as_pixels(image, part.pixels.ndim))

    if picture.alpha is None:
        return apply(picture)
    return replace(apply(picture), alpha=apply(Picture(picture.alpha, picture.metadata)).pixels)


def _with_pixels(picture: Picture, pixels: NDArray[np.float32]) -> Picture:
    """The picture with pixels of another size."""
    return replace(picture, pixels=np.empty(pixels.shape, picture.pixels.dtype)).with_float(pixels)
