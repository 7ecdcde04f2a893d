"""Inverse problems solved by splitting: with a denoiser of the zoo as the prior, or a model trained for the task."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.inference.runner import RunReport, RunSettings, as_pixels, inference, mirrored_to, restore_batch
from restorekit.models import PatchNetwork, UnrolledADMM
from restorekit.numerics.metrics import psnr
from restorekit.numerics.patches import regular_length, within_memory
from restorekit.physics.noise import estimate_sigma
from restorekit.solvers.admm import Iteration, Proximal, Schedule, Splitting, admm
from restorekit.solvers.differentiation import TOLERANCE
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import PRIOR_TASK, ModelSelection

Watch = Callable[[Tensor, float], None]
"""Called after each iteration: what would be the result after it, [B, C, H, W], and ||x_k+1 - x_k|| / ||x_k||."""

_NOISE_OF_SMALL = 1
"""Noise on the scale 0..255 that models trained to enlarge have seen; the levels on their cards are scales."""


class Plan(Protocol):
    """How prior and data are made to agree: a `Splitting`, or what a model has learned."""

    @property
    def iterations(self) -> int:
        """How many there are at most."""

    @property
    def tolerance(self) -> float:
        """The relative change at which they end before; 0 goes through all."""

    def schedule(self, noise: float) -> Schedule:
        """What the solver works with at a noise level in [0, 1]."""


@dataclass(frozen=True)
class Learned:
    """The plan of a trained network, at `level`, or at that of the noise if None."""

    network: UnrolledADMM
    level: float | None = None

    @property
    def iterations(self) -> int:
        """As many as it was trained with."""
        return self.network.settings.iterations

    @property
    def tolerance(self) -> float:
        """Where one step is repeated, the end is that of training."""
        return 0.0 if self.network.settings.mode == "explicit" else TOLERANCE

    def schedule(self, noise: float) -> Schedule:
        """The schedule at that level."""
        return self.network.schedule(torch.tensor([noise if self.level is None else self.level]))


def plan_for(model: LoadedModel, splitting: Splitting, iterations: int | None, level: float | None = None) -> Plan:
    """What the model has learned, if it was trained for the task, at `level`; or else the splitting.

    Args:
        model: of either kind.
        splitting: for denoisers.
        iterations: in place of those of the splitting, if not None.
        level: see `Learned`.

    Raises:
        UsageError: another number of iterations than the model was trained for.
    """
    if not isinstance(model.network, UnrolledADMM):
        return splitting if iterations is None else replace(splitting, iterations=iterations)
    learned = Learned(model.network, level)
    check_iterations(model, learned.iterations, iterations)
    return learned


def check_iterations(model: LoadedModel, trained: int, iterations: int | None) -> None:
    """Raise UsageError for another number of iterations, if one was named, than the model was trained for."""
    if iterations not in (None, trained):
        counted = "1 iteration" if trained == 1 else f"{trained} iterations"
        raise UsageError(
            f"{model.card.name} was trained for {counted}, not {iterations}; name a denoiser with --model to choose"
        )


class ZooDenoiser:
    """A model of the zoo as a `solvers.admm.Denoiser`: over tiles, at the quality of the settings, within [0, 1].

    Noise levels beyond the range of a model to denoise are taken as the nearest in it. tiles: how many there were, over
    all calls.

    Where patches lie side by side the image is continued to whole ones by its mirror image: here, where noise is faint,
    it was no worse than strips along the edges, and better on seven pictures of 481x321 pixels by 0.05 dB or more.
    """

    def __init__(self, model: LoadedModel, settings: RunSettings) -> None:
        self._network: PatchNetwork
        if isinstance(model.network, UnrolledADMM):
            self._network, self._range = model.network.denoiser, (0.0, 1.0)
        else:
            low, high = model.card.level_range
            self._network, self._range = model.patch_network, (low / 255, high / 255)
        self._settings = settings
        self.tiles = 0

    def __call__(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Images [B, C, H, W] and the noise level of each, [B] -> estimates."""
        self._network.to(images.device)
        estimates = []
        for image, level in zip(images, sigma.clamp(*self._range).tolist(), strict=True):
            estimates.append(self._denoised(image[None], level))
        return torch.cat(estimates)

    def _denoised(self, image: Tensor, level: float) -> Tensor:
        network, (height, width) = self._network, image.shape[-2:]
        if not network.has_strides:
            cell = network.patch_size
            image = mirrored_to(image, *(regular_length(side, cell, cell) for side in (height, width)))
        estimate, tiles = restore_batch(image, level, network, self._settings)
        self.tiles += tiles
        return estimate[..., :height, :width]


@inference()
def solve(
    model: LoadedModel,
    prox: Proximal,
    start: Tensor,
    noise: float,
    plan: Plan,
    settings: RunSettings,
    size: tuple[int, int] | None = None,
    watch: Watch | None = None,
) -> tuple[Tensor, RunReport]:
    """The solution that is come to from x = prox(start): images [B, C, H, W], clamped to [0, 1].

    Args:
        model: the prior, for images of that many channels.
        prox: of the data term.
        start: a first guess, on the device to work on.
        noise: standard deviation of the noise, in [0, 1].
        plan: the schedule, see `plan_for`.
        settings: quality and tile size of the denoiser.
        size: how many rows and columns, from the top left, are wanted of the result; all if None.
        watch: called after each iteration, with images of that size and the change of the first.

    Raises:
        MemoryExhaustedError: the images do not fit.
    """
    started = time.perf_counter()
    height, width = start.shape[-2:] if size is None else size
    schedule = plan.schedule(noise).to(start.device)
    denoiser = ZooDenoiser(model, settings)

    def result(x: Tensor, z: Tensor) -> Tensor:
        return (x if schedule.dual else z)[..., :height, :width].clamp(0, 1)

    def tell(iteration: Iteration) -> None:
        if watch is not None:
            watch(result(iteration.x, iteration.z), float(iteration.change[0]))

    def run() -> Tensor:
        begun = prox(start, schedule.opening.reshape(-1, 1, 1, 1))
        solution = admm(denoiser, prox, begun, schedule, tolerance=plan.tolerance, watch=tell)
        return result(solution.x, solution.z)

    images = within_memory(run)
    return images, RunReport(str(start.device), denoiser.tiles, time.perf_counter() - started)


def greatest_noise(model: LoadedModel) -> float:
    """The noise level, in [0, 1], up to which a model was made to be the prior: that of its card, if it has one."""
    return (_NOISE_OF_SMALL if model.card.task == "superres" else model.card.level_range[1]) / 255


def models_for(
    task: str,
    model: LoadedModel | str | None,
    iterations: int | None,
    noise: float | None,
    level: float | None = None,
    *,
    offline: bool = False,
) -> ModelSelection:
    """The model that was named, or the defaults: of the task, or denoisers where those cannot do what was asked.

    A model that was trained for the task has a number of iterations of its own, and takes less noise than a denoiser.
    noise: the level that was named, in [0, 1]; None if none was. level: see `ModelSelection.fitting`.
    """
    trained = ModelSelection(task, model, offline=offline)
    able = noise is None or all(noise <= greatest_noise(candidate) for candidate in trained.candidates(level))
    if model is not None or (iterations is None and able):
        return trained
    return ModelSelection(PRIOR_TASK, None, offline=offline)


def check_noise(noise: float, models: ModelSelection, level: float | None = None) -> None:
    """Raise UsageError for a noise level, in [0, 1], above what one of the models was made for.

    level: see `ModelSelection.fitting`.
    """
    for model in models.candidates(level):
        high = 255 * greatest_noise(model)
        if not 0 <= round(255 * noise, 6) <= high:
            raise UsageError(
                f"noise {255 * noise:g} is not a level that {model.card.name} was made for; "
                f"use a number from 0 to {high:g} (on the scale 0..255), or auto"
                + ("" if model.card.task == PRIOR_TASK else ", or name a denoiser with --model")
            )


def noise_of(observed: NDArray[np.float32], noise: float | None, model: LoadedModel) -> tuple[float, tuple[str, ...]]:
    """The noise level that was named, or that of an image [H, W] or [H, W, C]; and what to say about it."""
    if noise is not None:
        return noise, ()
    estimate = estimate_sigma(observed)
    taken = min(estimate, greatest_noise(model))
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    return taken, (found if taken == estimate else f"{found}, taken as {255 * taken:.3g}, the most the model knows",)


@dataclass
class Trajectory:
    """What is seen of each iteration on one picture; an instance is a `plug_and_play.Watch`.

    reference: the clean picture, [H, W] or [H, W, C] in [0, 1], if known. residuals: ||x_k+1 - x_k|| / ||x_k||. psnrs:
    of the result so far against the reference, in dB; as many, or none.
    """

    reference: NDArray[np.float32] | None = None
    residuals: list[float] = field(default_factory=list)
    psnrs: list[float] = field(default_factory=list)

    def __call__(self, estimates: Tensor, change: float) -> None:
        """Take down one iteration. Raises UsageError if the reference is of another shape than the result."""
        self.residuals.append(change)
        if self.reference is None:
            return
        estimate = as_pixels(estimates, 2 if estimates.shape[1] == 1 else 3)
        if estimate.shape != self.reference.shape:
            raise UsageError(f"a reference of {_size(self.reference)} does not fit a result of {_size(estimate)}")
        self.psnrs.append(psnr(estimate, self.reference))


def _size(pixels: NDArray[np.float32]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} {'grey' if pixels.ndim == 2 else 'colour'} pixels"
