"""Deblurring pictures whose blur kernel is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.image import Picture
from restorekit.inference.plug_and_play import Plan, Watch, check_noise, noise_of, plan_for, solve
from restorekit.inference.runner import RunReport, RunSettings, as_batch, as_pixels, resolve_device
from restorekit.inference.windows import Windows, solve_over_windows, window_pixels
from restorekit.physics.blur import CircularBlur, CroppedBlur
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.boundary import extend_periodic
from restorekit.solvers.admm import Splitting
from restorekit.types import Boundary
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection

TASK = "deblur"

DEBLUR_SPLITTING = Splitting(iterations=8, first=49 / 255, last=1.0, weight=0.3, least_noise=0.5 / 255)
"""Chosen on crops of training photographs, blurred by a Gaussian of sigma 2 with noise 2.55, and by motions."""

_REFILLS = 10
"""How often the margin is filled anew in each iteration, as `CroppedBlur` does it. On crops of training
photographs, blurred with their surroundings, 10 gave 8 dB more than none for a motion of 15 pixels, and 0.7 dB more for
a Gaussian of sigma 2."""

_MARGIN = 4
"""How many times the reach of the kernel a picture is extended by, so that its opposite edges do not meet."""

_HALO = 24
_HALO_REACHES = 6
"""What windows of a large picture drop: so many pixels, and so many times the reach of the kernel. Beyond, those of a
photograph agreed with the whole to 0.05 / 255 for a Gaussian of sigma 2 and to 0.3 / 255 for a motion of 15 pixels."""


class Deblur:
    """An operation for `run_batch`: argmin of 1/2 ||k * x - y||^2 + prior(x), the prior a denoiser's.

    Args:
        kernel: k, [kh, kw], normalised; see `physics.kernels`.
        noise: standard deviation in [0, 1], or None to estimate it on each picture.
        models: to choose from, trained to deblur or to denoise.
        settings: device, tile size, quality.
        boundary: what lies beyond the edges.
        iterations: None for as many as were found to be enough.
        watch: called after each iteration on a picture.

    Raises:
        UsageError: no such device, or a noise level that the models were not made for.

    """

    def __init__(
        self,
        kernel: Tensor,
        noise: float | None,
        models: ModelSelection,
        settings: RunSettings,
        boundary: Boundary = Boundary.OPEN,
        iterations: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        resolve_device(settings.device)
        if noise is not None:
            check_noise(noise, models)
        self._kernel = kernel
        self._noise = noise
        self._models = models
        self._settings = settings
        self._boundary = boundary
        self._iterations = iterations
        for model in models.candidates():
            plan_for(model, DEBLUR_SPLITTING, iterations)
        self._watch = watch

    def __call__(self, picture: Picture) -> Restored:
        """The picture deblurred, in the same depth.

        Raises:
            UsageError: the kernel is larger than the picture. ModelMismatchError: the model does not fit.
        """
        model = self._models.fitting(1 if picture.is_grey else 3)
        observed = picture.to_float()
        noise, notes = noise_of(observed, self._noise, model)
        plan = plan_for(model, DEBLUR_SPLITTING, self._iterations)
        restored, report = deblur_array(
            observed, self._kernel, noise, model, self._settings, self._boundary, plan, self._watch
        )
        return Restored(
            picture.with_float(restored),
            model=model.card.name,
            parameters=(("noise", 255 * noise), ("iterations", plan.iterations)),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=scale_notes(picture) + notes,
        )


@dataclass(frozen=True)
class DeblurArray:
    """A method to be measured at `GaussianBlur`: a model at one quality."""

    models: ModelSelection
    settings: RunSettings
    kernel: Tensor

    @property
    def name(self) -> str:
        """Such as `default (best)`."""
        return self.models.name_at(self.settings.quality)

    def __call__(self, observed: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
        """A blurred image [H, W] or [H, W, 3] and its noise level in [0, 1] -> the estimate in [0, 1]."""
        model = self.models.fitting(1 if observed.ndim == 2 else 3)
        return deblur_array(observed, self.kernel, noise, model, self.settings, Boundary.CIRCULAR)[0]


def deblur_array(
    observed: NDArray[np.float32],
    kernel: Tensor,
    noise: float,
    model: LoadedModel,
    settings: RunSettings,
    boundary: Boundary = Boundary.OPEN,
    plan: Plan | None = None,
    watch: Watch | None = None,
) -> tuple[NDArray[np.float32], RunReport]:
    """An image [H, W] or [H, W, 3] that was blurred by a kernel -> the estimate, of its shape, in [0, 1].

    The plan is that of the model, `plan_for`, unless it is named.

    Raises:
        UsageError: the kernel is larger than the image.
    """
    check_kernel(kernel, observed.shape)
    plan = plan or plan_for(model, DEBLUR_SPLITTING, None)
    reach, channels = max(kernel.shape) // 2, 1 if observed.ndim == 2 else observed.shape[2]
    windows = Windows(window_pixels(channels, resolve_device(settings.device)), halo=_HALO + _HALO_REACHES * reach)
    if boundary is Boundary.CIRCULAR and not windows.one_suffices(*observed.shape[:2]):
        return _deblur_repeated(observed, kernel, noise, model, settings, plan, windows.margin, watch)

    def solve_window(part: NDArray[np.float32]) -> tuple[NDArray[np.float32], RunReport]:
        return _deblur_window(part, kernel, noise, model, settings, boundary, plan, watch)

    return solve_over_windows(solve_window, observed, windows, watch)


def _deblur_repeated(
    observed: NDArray[np.float32],
    kernel: Tensor,
    noise: float,
    model: LoadedModel,
    settings: RunSettings,
    plan: Plan,
    margin: int,
    watch: Watch | None,
) -> tuple[NDArray[np.float32], RunReport]:
    """An image that is periodic and too large for one window: continued at all sides and cut back afterwards."""
    height, width = observed.shape[:2]
    sides = ((margin, margin), (margin, margin), (0, 0))[: observed.ndim]
    continued = np.pad(observed, sides, mode="wrap")
    estimate, report = deblur_array(continued, kernel, noise, model, settings, Boundary.OPEN, plan, watch)
    return np.ascontiguousarray(estimate[margin : margin + height, margin : margin + width]), report


def _deblur_window(
    observed: NDArray[np.float32],
    kernel: Tensor,
    noise: float,
    model: LoadedModel,
    settings: RunSettings,
    boundary: Boundary,
    plan: Plan,
    watch: Watch | None,
) -> tuple[NDArray[np.float32], RunReport]:
    height, width = observed.shape[:2]
    y = as_batch(observed, resolve_device(settings.device))
    if boundary is Boundary.CIRCULAR:
        start, physics = y, CircularBlur(kernel)
    else:
        start = extend_periodic(y, _MARGIN * (max(kernel.shape) // 2))
        physics = CroppedBlur(kernel, (start.shape[-2], start.shape[-1]), (height, width), _REFILLS)
    x, report = solve(
        model, lambda z, rho: physics.prox_l2(z, y, rho), start, noise, plan, settings, (height, width), watch
    )
    return as_pixels(x, observed.ndim), report


def check_kernel(kernel: Tensor, shape: tuple[int, ...]) -> None:
    """Raise UsageError for a kernel that is higher or wider than an image of shape [H, W] or [H, W, C]."""
    if kernel.shape[0] > shape[0] or kernel.shape[1] > shape[1]:
        raise UsageError(
            f"a kernel of {kernel.shape[1]}x{kernel.shape[0]} pixels is larger than the picture, {shape[1]}x{shape[0]}"
        )
