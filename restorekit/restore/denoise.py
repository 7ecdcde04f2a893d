"""Denoising pictures: the model that fits each, the noise level it has, and what was done, in words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.image import Picture
from restorekit.noise import estimate_sigma
from restorekit.restore.batch import Restored
from restorekit.restore.engine import RunSettings, denoise_array, resolve_device
from restorekit.zoo import LoadedModel, default_model, find, load_model

TASK = "denoise"

SMALLEST_SIGMA = 0.1 / 255
"""What the noise of a picture without any is taken for."""

_KINDS = {1: "grey", 3: "colour"}


class ModelChoice:
    """The model that was named, or the default one, grey or colour as each picture is.

    Args:
        model: a loaded one, a name or the path of a weights file, or None for the default models.
        offline: never ask the hub.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model named is not there, damaged, or of another task.

    """

    def __init__(self, model: LoadedModel | str | None, *, offline: bool = False) -> None:
        self._offline = offline
        self._defaults: dict[int, LoadedModel] = {}
        self._given = load_model(find(model, offline=offline)) if isinstance(model, str) else model
        if self._given is not None:
            _check_task(self._given)

    @property
    def name(self) -> str:
        """The name of the model that was named, else `default`."""
        return "default" if self._given is None else self._given.card.name

    def check_sigma(self, sigma: float) -> None:
        """Raise UsageError for a noise level, in [0, 1], that one of the models in question was not made for."""
        if self._given is not None:
            check_sigma(sigma, self._given)
            return
        for channels in _KINDS:
            # A default model that is not installed is missed when a picture needs it.
            with suppress(ModelNotFoundError):
                check_sigma(sigma, self._default(channels))

    def fitting(self, channels: int) -> LoadedModel:
        """The model for pictures of 1 or 3 channels. Raises ModelMismatchError if the model named is for others."""
        if self._given is None:
            return self._default(channels)
        if self._given.card.channels != channels:
            raise ModelMismatchError(
                f"a {_KINDS[channels]} picture, but {self._given.card.name} is a model for "
                f"{_KINDS[self._given.card.channels]} ones; {default_model(TASK, channels)} would fit"
            )
        return self._given

    def _default(self, channels: int) -> LoadedModel:
        if channels not in self._defaults:
            self._defaults[channels] = load_model(find(default_model(TASK, channels), offline=self._offline))
        return self._defaults[channels]


class Denoise:
    """An operation for `run_batch`.

    Args:
        sigma: noise level in [0, 1], or None to estimate it on each picture.
        models: what to restore with.
        settings: device, tile size, quality.

    Raises:
        UsageError: no such device, or a noise level that the models were not made for.

    """

    def __init__(self, sigma: float | None, models: ModelChoice, settings: RunSettings) -> None:
        resolve_device(settings.device)
        if sigma is not None:
            models.check_sigma(sigma)
        self._sigma = sigma
        self._models = models
        self._settings = settings

    def __call__(self, picture: Picture) -> Restored:
        """The picture without noise, in the same depth. Raises ModelMismatchError if the model does not fit."""
        model = self._models.fitting(1 if picture.is_grey else 3)
        pixels = picture.to_float()
        sigma, notes = self._sigma, _range_notes(picture)
        if sigma is None:
            sigma, found = _estimated_sigma(estimate_sigma(pixels), model)
            notes += found
        restored, report = denoise_array(pixels, sigma, model.network, self._settings)
        return Restored(
            picture.with_float(restored),
            model=model.card.name,
            sigma=sigma,
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=notes,
        )


@dataclass(frozen=True)
class DenoiseArray:
    """A method for `evaluate_denoise`: the models at one quality, under a name that tells both."""

    models: ModelChoice
    settings: RunSettings

    @property
    def name(self) -> str:
        """Such as `denoise-gray-sc (best)`."""
        return f"{self.models.name} ({self.settings.quality.value})"

    def __call__(self, noisy: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
        """An image [H, W] or [H, W, 3] and its noise level in [0, 1] -> the estimate in [0, 1]."""
        network = self.models.fitting(1 if noisy.ndim == 2 else noisy.shape[2]).network
        return denoise_array(noisy, sigma, network, self.settings)[0]


def check_sigma(sigma: float, model: LoadedModel) -> None:
    """Raise UsageError, naming the range, for a noise level, in [0, 1], that the model was not made for."""
    low, high = model.card.sigma_range
    level = round(255 * sigma, 6)
    if not (level > 0 and low <= level <= high):
        least = f"from {low:g}" if low > 0 else "above 0"
        raise UsageError(
            f"sigma {level:g} is not a noise level that {model.card.name} was made for; "
            f"use a number {least} up to {high:g} (on the scale 0..255), or auto"
        )


def _range_notes(picture: Picture) -> tuple[str, ...]:
    """A remark on float pixels so far outside [0, 1] that noise does not explain it: most likely another scale."""
    if picture.pixels.dtype.kind != "f":
        return ()
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low >= -1 and high <= 2:
        return ()
    return (f"values from {low:.4g} to {high:.4g} were taken as [0, 1], as floats are; what was outside is cut off",)


def _estimated_sigma(estimate: float, model: LoadedModel) -> tuple[float, tuple[str, ...]]:
    """The estimate, clipped to the model's range, and what to say about it."""
    low, high = (level / 255 for level in model.card.sigma_range)
    sigma = min(max(estimate, low, SMALLEST_SIGMA), high)
    found = f"noise estimated as sigma {255 * estimate:.3g}"
    if sigma == estimate:
        return sigma, (found,)
    return sigma, (f"{found}, taken as {255 * sigma:.3g}, the nearest that {model.card.name} was made for",)


def _check_task(model: LoadedModel) -> None:
    if model.card.task != TASK:
        raise ModelMismatchError(
            f"{model.card.name} is a model to {model.card.task}, not to {TASK}; "
            f"{default_model(TASK, 1)} and {default_model(TASK, 3)} would fit"
        )
