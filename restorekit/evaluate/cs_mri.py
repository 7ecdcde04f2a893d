"""Compressed sensing MRI as something to measure: clean images of which only a part of k-space is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.evaluate.benchmark import SCORING
from restorekit.evaluate.results import Level
from restorekit.evaluate.sigpy_recon import SIGPY_RECONS, sigpy_recon
from restorekit.image import Picture
from restorekit.physics.kspace import MaskSource, SampledFourier, channels_of
from restorekit.restore.cs_mri import CsMri, sampled_fourier
from restorekit.restore.cs_mri_tv import tv_reconstruction

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class KspaceMask:
    """A level: which frequencies are kept, under a name such as `radial:0.3` or that of a file.

    real: whether the images are known to be real.
    """

    name: str
    source: MaskSource
    real: bool = True

    def physics(self, height: int, width: int) -> SampledFourier:
        """The operator for images of that size. Raises UnsupportedImageError where the mask is of another."""
        return sampled_fourier(self.source.mask(height, width)[0], real=self.real)


@dataclass(frozen=True)
class KspaceSampling:
    """The `Degradation` of a scan that measures a part of k-space; what is observed is k-space [2, H, W].

    levels: masks, for real or for complex images. noise: standard deviation in k-space, in [0, 1].
    """

    levels: tuple[KspaceMask, ...]
    noise: float = 0.0
    task: str = "cs-mri"
    axis: str = "mask"

    @property
    def protocol(self) -> str:
        """What is done and measured."""
        noise = "no noise is added" if self.noise == 0 else f"noise of {255 * self.noise:g} / 255 is added to k-space"
        if all(level.real for level in self.levels):
            images, known = "Grey images, taken as real,", "the mask and that the image is real"
        else:
            images = "Complex slices, divided by their greatest magnitude,"
            known = "the mask; magnitudes are compared with magnitudes"
        done = f"{images} are Fourier transformed (orthonormal) and sampled by the mask; {noise}. "
        return f"{done}Methods know {known}. {SCORING}"

    @property
    def untouched(self) -> CsMriBaseline:
        """What was not measured taken for zero."""
        return cs_mri_baseline("zero-filling", self.noise)

    def prepare(self, picture: Picture) -> Image:
        """The grey image [H, W], of the size of every mask."""
        if not picture.is_grey:
            raise UnsupportedImageError("a colour picture; k-space is simulated of grey ones")
        clean = picture.to_float()
        for level in self.levels:
            level.source.mask(*clean.shape)
        return clean

    def observe(self, clean: npt.NDArray[Any], level: KspaceMask, seed: int) -> Image:
        """k-space [2, H, W] of real and imaginary parts, zero where it is not sampled, of an image real or complex."""
        image = torch.from_numpy(clean)[None]
        channels = image[None] if level.real else channels_of(image)
        observed = level.physics(*clean.shape).observe(channels, self.noise, seed)
        return np.asarray(observed[0].numpy(), np.float32)

    def describe(self, level: KspaceMask) -> Level:
        """Its name, and the sampling rate in percent."""
        return Level(level.name, level.name, round(100 * level.source.share))


@dataclass(frozen=True)
class CsMriArray:
    """A method to be measured at `KspaceSampling`."""

    method: CsMri
    noise: float

    @property
    def name(self) -> str:
        """Such as `denoise-gray-sc (best)`."""
        return self.method.name

    def __call__(self, observed: Image, level: KspaceMask) -> Image:
        """k-space [2, H, W] and its mask -> the image [H, W], of a complex one the magnitude."""
        return _solved(observed, level, lambda physics, y: self.method(physics, y, self.noise)[0])


@dataclass(frozen=True)
class CsMriBaseline:
    """A `Method` at `KspaceSampling`: k-space [2, H, W] and its mask -> the image [H, W]."""

    name: str
    method: Callable[[SampledFourier, Tensor], Tensor]

    def __call__(self, observed: Image, level: KspaceMask) -> Image:
        """The estimate."""
        return _solved(observed, level, self.method)


def cs_mri_baseline(name: str, noise: float) -> CsMriBaseline:
    """The baseline of that name, one of `CS_MRI_BASELINES`, for k-space with that noise.

    Raises:
        UsageError: there is none. MissingExtraError: SigPy is not installed.
    """
    if name == "zero-filling":
        return CsMriBaseline(name, lambda physics, y: physics.A_adjoint(y))
    if name == "tv":
        return CsMriBaseline(name, lambda physics, y: tv_reconstruction(physics, y, noise))
    if name in SIGPY_RECONS:
        return CsMriBaseline(name, sigpy_recon(name, noise))
    raise UsageError(f"no baseline is named {name!r}; choose {', '.join(CS_MRI_BASELINES)}")


def _solved(observed: Image, level: KspaceMask, method: Callable[[SampledFourier, Tensor], Tensor]) -> Image:
    physics = level.physics(*observed.shape[1:])
    image = method(physics, torch.from_numpy(observed)[None])[0]
    return np.asarray((image[0] if level.real else image.norm(dim=0)).numpy(), np.float32)


CS_MRI_BASELINES = ("zero-filling", "tv", *SIGPY_RECONS)
