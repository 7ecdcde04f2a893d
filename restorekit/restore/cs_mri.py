"""Reconstructing an image from a part of its k-space: the methods, and which of them is meant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from restorekit.errors import ModelMismatchError, ModelNotFoundError
from restorekit.inference.plug_and_play import Watch, check_iterations
from restorekit.inference.runner import RunReport, RunSettings, inference, resolve_device
from restorekit.models.kspace import KspaceNetwork, kspace_measurement
from restorekit.numerics.patches import within_memory
from restorekit.physics.kspace import SampledFourier, SampledFourierOfReal
from restorekit.restore.cs_mri_prior import DenoiserPrior
from restorekit.restore.cs_mri_tv import TV, TV_ITERATIONS, TotalVariation, changes_told
from restorekit.zoo import LoadedModel, default_model, find, load_model
from restorekit.zoo.selection import PRIOR_TASK, ModelSelection

TASK = "cs-mri"


class CsMri(Protocol):
    """A method: from k-space to an image."""

    @property
    def name(self) -> str:
        """What tables call it, such as `denoise-gray-sc (best)`."""

    @property
    def model(self) -> str:
        """The model that it works with."""

    @property
    def iterations(self) -> int:
        """How often prior and data take turns."""

    def check_noise(self, noise: float) -> None:
        """Raise UsageError for a noise level, in [0, 1], that the model was not made for."""

    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """k-space y [1, 2, H, W] of any scale -> the image [1, 1 or 2, H, W], on the CPU.

        noise: its standard deviation in y's own unit, in the real and in the imaginary part. `watch` is told the image
        after each iteration.
        """


@dataclass(frozen=True)
class TrainedReconstruction:
    """A `CsMri`: a network that was trained for it. The quality of the settings is the distance of its patches, or with
    a U-Net whether all turns of the image are averaged.

    Raises:
        DeviceError: no such device.
    """

    loaded: LoadedModel
    network: KspaceNetwork
    settings: RunSettings

    def __post_init__(self) -> None:
        resolve_device(self.settings.device)

    @property
    def name(self) -> str:
        """Such as `cs-mri-sc (best)`."""
        return f"{self.model} ({self.settings.quality.value})"

    @property
    def model(self) -> str:
        """Its name in the zoo."""
        return self.loaded.card.name

    @property
    def iterations(self) -> int:
        """As many as it was trained with."""
        return self.network.steps

    def check_noise(self, noise: float) -> None:
        """Any will do, though it saw but little of it."""

    @inference()
    def __call__(
        self, physics: SampledFourier, y: Tensor, noise: float, watch: Watch | None = None
    ) -> tuple[Tensor, RunReport]:
        """See `CsMri`."""
        device = resolve_device(self.settings.device)
        started = time.perf_counter()
        tell = None if watch is None else changes_told(watch)

        def reconstruct() -> Tensor:
            measurement = kspace_measurement(physics, y.to(device), torch.full((len(y),), noise, device=device))
            image = measurement.x0
            for image in self.network.to(device).iterates(measurement, self.settings.quality.stride):
                if tell is not None:
                    tell(image)
            return image.cpu()

        image = within_memory(reconstruct, "try --quality fast or --model tv")
        return image, RunReport(str(device), 1, time.perf_counter() - started)


def choose_cs_mri(
    model: LoadedModel | str | None, settings: RunSettings, iterations: int | None = None, *, offline: bool = False
) -> CsMri:
    """The method of that name.

    Args:
        model: one trained for cs-mri or a denoiser of grey images, loaded or by name or path; `tv`; None: the default.
        settings: device, tile size, quality.
        iterations: None for as many as were found, or trained, to be enough.
        offline: never ask the hub.

    Raises:
        ModelNotFoundError, WeightsError, ModelMismatchError: the model is not there, damaged, or of another task.
        UsageError: iterations of a trained model, or less than one. DeviceError: no such device.
    """
    if model is None:
        model = _default()
    if model == TV:
        return TotalVariation(settings, TV_ITERATIONS if iterations is None else iterations)
    loaded = load_model(find(model, offline=offline)) if isinstance(model, str) else model
    if isinstance(loaded.network, KspaceNetwork):
        check_iterations(loaded, loaded.network.steps, iterations)
        return TrainedReconstruction(loaded, loaded.network, settings)
    if loaded.card.task != PRIOR_TASK:
        raise ModelMismatchError(
            f"{loaded.card.name} is a model to {loaded.card.task}; one for {TASK}, a denoiser of grey images or {TV} "
            "would fit"
        )
    return DenoiserPrior(ModelSelection(PRIOR_TASK, loaded), settings, iterations)


def _default() -> str:
    """The default model; total variation where it is not installed."""
    name = default_model(TASK, 1)
    try:
        find(name, offline=True)
    except ModelNotFoundError:
        return TV
    return name


def sampled_fourier(mask: Tensor, *, real: bool) -> SampledFourier:
    """The operator for real or for complex images."""
    return SampledFourierOfReal(mask) if real else SampledFourier(mask)
