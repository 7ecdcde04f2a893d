"""Linear inverse problems solved by splitting: with a denoiser as the prior, or with a model trained for the task."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.inference.runner import Image, as_pixels, inference, mirrored_to, restore_batch
from restorekit.models import PatchNetwork, UnrolledADMM
from restorekit.numerics.metrics import psnr
from restorekit.numerics.patches import regular_length, within_memory
from restorekit.solvers.admm import Iteration, Proximal, Schedule, Splitting, admm
from restorekit.solvers.differentiation import TOLERANCE
from restorekit.types import RunReport, RunSettings
from restorekit.zoo import LoadedModel

Watch = Callable[[Tensor, float], None]
"""Called after each iteration with the result so far, [B, C, H, W], and ||x_k+1 - x_k|| / ||x_k||."""


@dataclass
class Trajectory:
    """How the iterations on one picture went; an instance is a `Watch`.

    reference: the clean picture, [H, W] or [H, W, C] in [0, 1], if known. residuals: ||x_k+1 - x_k|| / ||x_k||. psnrs:
    of the result so far against the reference, in dB; as many, or none.
    """

    reference: Image | None = None
    residuals: list[float] = field(default_factory=list)
    psnrs: list[float] = field(default_factory=list)

    def __call__(self, estimates: Tensor, change: float) -> None:
        """Record one iteration. Raises UsageError if the reference is of another shape than the result."""
        self.residuals.append(change)
        if self.reference is None:
            return
        estimate = as_pixels(estimates, 2 if estimates.shape[1] == 1 else 3)
        if estimate.shape != self.reference.shape:
            sizes = [
                f"{image.shape[1]}x{image.shape[0]} {'grey' if image.ndim == 2 else 'colour'} pixels"
                for image in (self.reference, estimate)
            ]
            raise UsageError(f"a reference of {sizes[0]} does not fit a result of {sizes[1]}")
        self.psnrs.append(psnr(estimate, self.reference))


@dataclass(frozen=True)
class LearnedSplitting:
    """The schedule that a network has learned, for a `conditioning`, or for the noise level if None."""

    network: UnrolledADMM
    conditioning: float | None = None

    @property
    def iterations(self) -> int:
        """As many as it was trained with."""
        return self.network.settings.iterations

    @property
    def tolerance(self) -> float:
        """The relative change at which iterations end; networks that repeat one step end as in training."""
        return 0.0 if self.network.settings.mode == "explicit" else TOLERANCE

    def schedule(self, noise: float) -> Schedule:
        """Return noise levels and weights for a noise level in [0, 1]."""
        return self.network.schedule(torch.tensor([noise if self.conditioning is None else self.conditioning]))


def splitting_for(
    model: LoadedModel, splitting: Splitting, iterations: int | None, conditioning: float | None = None
) -> Splitting | LearnedSplitting:
    """Return the splitting that the model has learned, for a `conditioning`, or for a denoiser the given one.

    iterations: in place of those of the splitting, if not None. Raises UsageError: not as many as in training.
    """
    if not isinstance(model.network, UnrolledADMM):
        return splitting if iterations is None else replace(splitting, iterations=iterations)
    learned = LearnedSplitting(model.network, conditioning)
    check_iterations(model, learned.iterations, iterations)
    return learned


def check_iterations(model: LoadedModel, trained: int, iterations: int | None) -> None:
    """Raise UsageError for another number of iterations, if one was named, than the model was trained for."""
    if iterations not in (None, trained):
        counted = "1 iteration" if trained == 1 else f"{trained} iterations"
        raise UsageError(
            f"{model.card.name} was trained for {counted}, not {iterations}; name a denoiser with --model to choose"
        )


class TiledDenoiser:
    """A model as a `solvers.admm.Denoiser`: over tiles, at the quality of the settings, within [0, 1].

    Noise levels beyond the range of a denoiser are taken as the nearest in it. tiles: how many there were, over all
    calls. Where patches lie side by side, the image is continued to whole ones by its mirror image: for faint noise
    that was no worse than strips along the edges, and better on seven pictures of 481x321 pixels by 0.05 dB or more.
    """

    def __init__(self, model: LoadedModel, settings: RunSettings) -> None:
        self._network: PatchNetwork
        if isinstance(model.network, UnrolledADMM):
            self._network, self._range = model.network.denoiser, (0.0, 1.0)
        else:
            low, high = model.card.conditioning_range
            self._network, self._range = model.patch_network, (low / 255, high / 255)
        self._settings = settings
        self.tiles = 0

    def __call__(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Return estimates of images [B, C, H, W] with the noise level of each, [B]."""
        self._network.to(images.device)
        sigmas = sigma.clamp(*self._range).tolist()
        return torch.cat([self._denoised(image[None], sigma) for image, sigma in zip(images, sigmas, strict=True)])

    def _denoised(self, image: Tensor, sigma: float) -> Tensor:
        network, (height, width) = self._network, image.shape[-2:]
        if not network.has_strides:
            cell = network.patch_size
            image = mirrored_to(image, *(regular_length(side, cell, cell) for side in (height, width)))
        estimate, tiles = restore_batch(image, sigma, network, self._settings)
        self.tiles += tiles
        return estimate[..., :height, :width]


@inference()
def solve(
    model: LoadedModel,
    prox: Proximal,
    x0: Tensor,
    noise: float,
    splitting: Splitting | LearnedSplitting,
    settings: RunSettings,
    size: tuple[int, int] | None = None,
    watch: Watch | None = None,
) -> tuple[Tensor, RunReport]:
    """Run ADMM or half-quadratic splitting from x = prox(x0); return images [B, C, H, W], clamped to [0, 1].

    model: the prior, for images of that many channels. prox: of the data term. x0: a first guess, on the device to work
    on. noise: its standard deviation, in [0, 1]. splitting: see `splitting_for`. settings: quality and tile size of the
    denoiser. size: keep so many rows and columns of the result, from the top left; all if None. watch: called after
    each iteration, with images of that size and the change of the first. Raises MemoryExhaustedError.
    """
    started = time.perf_counter()
    height, width = x0.shape[-2:] if size is None else size
    schedule = splitting.schedule(noise).to(x0.device)
    denoiser = TiledDenoiser(model, settings)

    def result(x: Tensor, z: Tensor) -> Tensor:
        return (x if schedule.dual else z)[..., :height, :width].clamp(0, 1)

    def tell(iteration: Iteration) -> None:
        if watch is not None:
            watch(result(iteration.x, iteration.z), float(iteration.change[0]))

    def run() -> Tensor:
        start = prox(x0, schedule.opening.reshape(-1, 1, 1, 1))
        solution = admm(denoiser, prox, start, schedule, tol=splitting.tolerance, watch=tell)
        return result(solution.x, solution.z)

    images = within_memory(run)
    return images, RunReport(str(x0.device), denoiser.tiles, time.perf_counter() - started)
