"""Denoising pictures: the model that fits each, the noise level it has, and what was done, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import UsageError
from restorekit.image import Picture
from restorekit.inference.runner import RunSettings, resolve_device, restore_array
from restorekit.physics.noise import estimate_sigma
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.case import RestorationTrace
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection

TASK = "denoise"

SMALLEST_SIGMA = 0.1 / 255
"""What the noise of a picture without any is taken for."""


class Denoise:
    """An operation for `run_batch`.

    Args:
        sigma: noise level in [0, 1], or None to estimate it on each picture.
        models: what to restore with.
        settings: device, tile size, quality.

    Raises:
        UsageError: no such device, or a noise level that the models were not made for.

    """

    def __init__(self, sigma: float | None, models: ModelSelection, settings: RunSettings) -> None:
        resolve_device(settings.device)
        if sigma is not None:
            check_sigmas((sigma,), models)
        self._sigma = sigma
        self._models = models
        self._settings = settings

    def __call__(self, picture: Picture) -> Restored:
        """The picture without noise, in the same depth. Raises ModelMismatchError if the model does not fit."""
        return self.examined(picture)[0]

    def examined(self, picture: Picture) -> tuple[Restored, RestorationTrace]:
        """As `__call__`, and what the network had to do with."""
        model, sigma, notes = self._choose(picture)
        observed = picture.to_float()
        estimate, report = restore_array(observed, sigma, model.patch_network, self._settings)
        restored = Restored(
            picture.with_float(estimate),
            model=model.card.name,
            parameters=(("sigma", 255 * sigma),),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=scale_notes(picture) + notes,
        )
        stride = self._settings.quality.stride
        return restored, RestorationTrace(model, sigma, stride, observed, estimate, truth_of=Picture.to_float)

    def _choose(self, picture: Picture) -> tuple[LoadedModel, float, tuple[str, ...]]:
        """The model for a picture, the noise level in [0, 1] and remarks. Raises ModelMismatchError if none fits."""
        if self._sigma is not None:
            return self._models.fitting(1 if picture.is_grey else 3, 255 * self._sigma), self._sigma, ()
        return _choose_blindly(picture.to_float(), self._models)


@dataclass(frozen=True)
class DenoiseArray:
    """A method to be measured at `GaussianNoise`: the models at one quality, under a name that tells both."""

    models: ModelSelection
    settings: RunSettings
    blind: bool = False

    @property
    def name(self) -> str:
        """Such as `denoise-gray-sc (best)`, or `denoise-gray-sc (best), blind` if it estimates the noise level."""
        return self.models.name_at(self.settings.quality) + (", blind" if self.blind else "")

    def __call__(self, noisy: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        """An image [H, W] or [H, W, 3] and its noise level in [0, 1] -> the estimate in [0, 1]."""
        if self.blind:
            model, sigma, _ = _choose_blindly(noisy, self.models)
        else:
            model = self.models.fitting(1 if noisy.ndim == 2 else noisy.shape[2], 255 * sigma)
        return restore_array(noisy, sigma, model.patch_network, self.settings)[0]


def check_sigmas(sigmas: Iterable[float], models: ModelSelection) -> None:
    """Raise UsageError, naming the range, for a noise level, in [0, 1], that one of its models was not made for.

    The models of all levels are loaded, so that none is missed or damaged later on, or loaded while time is taken.
    """
    for sigma in sigmas:
        level = round(255 * sigma, 6)
        for model in models.candidates(level):
            if not (level > 0 and model.card.covers(level)):
                low, high = model.card.level_range
                least = f"from {low:g}" if low > 0 else "above 0"
                raise UsageError(
                    f"sigma {level:g} is not a noise level that {model.card.name} was made for; "
                    f"use a number {least} up to {high:g} (on the scale 0..255), or auto"
                )


def _choose_blindly(noisy: NDArray[np.float32], models: ModelSelection) -> tuple[LoadedModel, float, tuple[str, ...]]:
    """The model for the noise level that is estimated, that level, clipped to the model's range, and remarks."""
    estimate = estimate_sigma(noisy)
    model = models.fitting(1 if noisy.ndim == 2 else noisy.shape[2], 255 * estimate)
    low, high = (level / 255 for level in model.card.level_range)
    sigma = min(max(estimate, low, SMALLEST_SIGMA), high)
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    if sigma == estimate:
        return model, sigma, (found,)
    return model, sigma, (f"{found}, taken as {255 * sigma:.3g}, the nearest that {model.card.name} was made for",)
