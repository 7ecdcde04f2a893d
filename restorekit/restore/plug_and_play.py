"""Denoisers of the zoo as priors: inverse problems solved by splitting, with no training for the task."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import MemoryExhaustedError, UsageError
from restorekit.noise import estimate_sigma
from restorekit.restore.choice import ModelChoice
from restorekit.restore.engine import RunReport, RunSettings, restore_batch
from restorekit.solvers.admm import Iteration, Proximal, admm
from restorekit.solvers.admm import Splitting as Splitting
from restorekit.zoo import LoadedModel

PRIOR_TASK = "denoise"
"""What the models are made for that serve as priors."""

Watch = Callable[[Tensor, float], None]
"""Called after each iteration: what would be the result after it, [B, C, H, W], and ||x_k+1 - x_k|| / ||x_k||."""


class ZooDenoiser:
    """A model of the zoo as a `solvers.admm.Denoiser`: over tiles, at the quality of the settings, within [0, 1].

    Noise levels beyond the model's range are taken as the nearest in it. tiles: how many there were, over all calls.
    """

    def __init__(self, model: LoadedModel, settings: RunSettings) -> None:
        self._model = model
        self._settings = settings
        self.tiles = 0

    def __call__(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Images [B, C, H, W] and the noise level of each, [B] -> estimates."""
        low, high = (level / 255 for level in self._model.card.level_range)
        network = self._model.patch_network.to(images.device)
        estimates = []
        for image, level in zip(images, sigma.clamp(low, high).tolist(), strict=True):
            estimate, tiles = restore_batch(image[None], level, network, self._settings)
            self.tiles += tiles
            estimates.append(estimate)
        return torch.cat(estimates)


@torch.inference_mode()
def solve(
    model: LoadedModel,
    prox: Proximal,
    start: Tensor,
    noise: float,
    splitting: Splitting,
    settings: RunSettings,
    size: tuple[int, int] | None = None,
    watch: Watch | None = None,
) -> tuple[Tensor, RunReport]:
    """The solution that is come to from x = prox(start): images [B, C, H, W], clamped to [0, 1].

    Args:
        model: the prior, one that denoises images of that many channels.
        prox: of the data term.
        start: a first guess, on the device to work on.
        noise: standard deviation of the noise, in [0, 1].
        splitting: the schedule.
        settings: quality and tile size of the denoiser.
        size: how many rows and columns, from the top left, are wanted of the result; all if None.
        watch: called after each iteration, with images of that size and the change of the first.

    Raises:
        MemoryExhaustedError: the images do not fit.
    """
    started = time.perf_counter()
    height, width = start.shape[-2:] if size is None else size
    schedule = splitting.schedule(noise)
    denoiser = ZooDenoiser(model, settings)

    def result(x: Tensor, z: Tensor) -> Tensor:
        return (x if schedule.dual else z)[..., :height, :width].clamp(0, 1)

    def tell(iteration: Iteration) -> None:
        if watch is not None:
            watch(result(iteration.x, iteration.z), float(iteration.change[0]))

    try:
        begun = prox(start, schedule.opening.reshape(-1, 1, 1, 1).to(start.device))
        solution = admm(denoiser, prox, begun, schedule, tolerance=0, watch=tell)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MemoryExhaustedError("the image does not fit into memory; free some and try again") from error
    return result(solution.x, solution.z), RunReport(str(start.device), denoiser.tiles, time.perf_counter() - started)


def check_noise(noise: float, models: ModelChoice) -> None:
    """Raise UsageError for a noise level, in [0, 1], above what one of the models was made for."""
    for model in models.candidates():
        high = model.card.level_range[1]
        if not 0 <= round(255 * noise, 6) <= high:
            raise UsageError(
                f"noise {255 * noise:g} is not a level that {model.card.name} was made for; "
                f"use a number from 0 to {high:g} (on the scale 0..255), or auto"
            )


def noise_of(observed: NDArray[np.float32], noise: float | None, model: LoadedModel) -> tuple[float, tuple[str, ...]]:
    """The noise level that was named, or that of an image [H, W] or [H, W, C]; and what to say about it."""
    if noise is not None:
        return noise, ()
    estimate = estimate_sigma(observed)
    taken = min(estimate, model.card.level_range[1] / 255)
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    return taken, (found if taken == estimate else f"{found}, taken as {255 * taken:.3g}, the most the model knows",)
