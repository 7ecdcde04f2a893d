"""Deblurring as something to measure: images blurred circularly by a known kernel, with seeded noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.evaluate.benchmark import SCORING
from restorekit.evaluate.results import Level
from restorekit.image import Picture
from restorekit.inference.runner import as_batch, as_pixels
from restorekit.physics.blur import CircularBlur
from restorekit.solvers.split_bregman import total_variation

Image = npt.NDArray[np.float32]

_WIENER_WEIGHT = 100.0
_TV_WEIGHT = 10.0
"""Of the priors over sigma^2: best on crops of six training photographs, blurred by a Gaussian of sigma 2 with noise of
2.55. Half as much or twice as much costs less than 0.2 dB."""
_TV_PENALTY = 0.01
_LEAST_WEIGHT = 1e-8
"""Without noise nothing but this keeps the filters from dividing by zero."""
_LEAST_RATIO = 1e-6
"""Where the blurred estimate is darker, Richardson and Lucy's ratio is taken for 0."""


@dataclass(frozen=True)
class GaussianBlur:
    """The `Degradation` y = k * x + sigma n, * circular: one draw of n an image, scaled to each noise level.

    levels: sigmas in [0, 1]. kernel: k, normalised; see `physics.kernels`. kernel_name: what the protocol calls it.

    Raises:
        UsageError: a level that is none.
    """

    levels: tuple[float, ...]
    kernel: Tensor
    kernel_name: str
    task: str = "deblur"
    axis: str = "noise"

    def __post_init__(self) -> None:
        if not all(0 <= sigma < math.inf for sigma in self.levels):
            levels = ", ".join(f"{255 * sigma:g}" for sigma in self.levels)
            raise UsageError(f"noise levels must be numbers of at least 0, not: {levels}")

    @property
    def protocol(self) -> str:
        """Names the kernel."""
        height, width = self.kernel.shape
        return (
            f"Images are blurred by the kernel {self.kernel_name}, {width}x{height} pixels, as if they were periodic; "
            "then seeded Gaussian noise, its sigma on the scale 0..255, is added in float32, neither clipped nor "
            "rounded. " + SCORING
        )

    @property
    def untouched(self) -> DeblurBaseline:
        """The blurred image itself."""
        return deblur_baseline("blurred", self.kernel)

    def prepare(self, picture: Picture) -> Image:
        """Grey or colour, as the picture is. Raises UnsupportedImageError if the kernel is larger."""
        self._check_size(picture.pixels.shape)
        return picture.to_float()

    def observe(self, clean: Image, level: float, seed: int) -> Image:
        """The clean image blurred, with noise. Raises UnsupportedImageError if the kernel is larger."""
        self._check_size(clean.shape)
        return _per_channel(lambda x: CircularBlur(self.kernel).observe(x, level, seed), clean)

    def describe(self, level: float) -> Level:
        """Such as `noise 2.55`, on the scale 0..255."""
        sigma = round(255 * level, 6)
        return Level(sigma, f"noise {sigma:g}")

    def _check_size(self, shape: tuple[int, ...]) -> None:
        if self.kernel.shape[0] > shape[0] or self.kernel.shape[1] > shape[1]:
            raise UnsupportedImageError(f"{shape[1]}x{shape[0]} pixels, smaller than the kernel")


@dataclass(frozen=True)
class DeblurBaseline:
    """A `Method` at `GaussianBlur`: [H, W] or [H, W, 3] and its noise level in [0, 1] -> the same shape."""

    name: str
    kernel: Tensor
    method: Callable[[Tensor, Tensor, float], Tensor]

    def __call__(self, observed: Image, noise: float) -> Image:
        """The estimate, float32."""
        return _per_channel(lambda y: self.method(y, self.kernel, noise), observed)


def deblur_baseline(name: str, kernel: Tensor) -> DeblurBaseline:
    """The baseline of that name, one of `DEBLUR_BASELINES`, for a kernel.

    Raises:
        UsageError: there is none.
    """
    if name not in _METHODS:
        raise UsageError(f"no baseline is named {name!r}; choose {', '.join(DEBLUR_BASELINES)}")
    return DeblurBaseline(name, kernel, _METHODS[name])


def _per_channel(function: Callable[[Tensor], Tensor], image: Image) -> Image:
    """A function of [1, C, H, W] on an image [H, W] or [H, W, C]."""
    return as_pixels(function(as_batch(image, torch.device("cpu"))), image.ndim)


def _blurred(y: Tensor, kernel: Tensor, noise: float) -> Tensor:
    return y


def _wiener(y: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """argmin_x 1/2 ||A x - y||^2 + w sigma^2 / 2 ||grad x||^2: for images whose power falls as 1 / frequency^2."""
    physics = CircularBlur(kernel)
    rows, cols = (2 - 2 * torch.cos(2 * math.pi * torch.fft.fftfreq(side)) for side in y.shape[-2:])
    weight = max(_WIENER_WEIGHT * noise**2, _LEAST_WEIGHT)
    system = _power(physics, y) + weight * (rows[:, None] + cols)
    restored: Tensor = torch.fft.ifft2(torch.fft.fft2(physics.A_adjoint(y)) / system).real
    return restored


def _tv(y: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """argmin_x 1/2 ||A x - y||^2 + w sigma^2 TV(x), channels sharing their edges."""
    physics = CircularBlur(kernel)
    weight = max(_TV_WEIGHT * noise**2, _LEAST_WEIGHT)
    return total_variation(physics.A_adjoint(y), _power(physics, y), weight, penalty=_TV_PENALTY)


def _power(physics: CircularBlur, image: Tensor) -> Tensor:
    """|K|^2, the spectrum of A^T A, [H, W]."""
    impulse = torch.zeros_like(image[:1, :1])
    impulse[..., 0, 0] = 1
    power: Tensor = torch.fft.fft2(physics.A_adjoint(physics.A(impulse))).real[0, 0]
    return power


def _richardson_lucy(y: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """scikit-image's, which knows of no noise, with its 50 iterations, on the image continued as it repeats itself."""
    from skimage.restoration import richardson_lucy

    reach = 2 * max(kernel.shape)
    positive = np.pad(y[0].clamp(0, 1).numpy(), ((0, 0), (reach, reach), (reach, reach)), mode="wrap")
    taps = kernel.to(y).numpy()
    planes = [
        richardson_lucy(plane, taps, filter_epsilon=_LEAST_RATIO)  # type: ignore[no-untyped-call]
        for plane in positive
    ]
    return torch.from_numpy(np.stack(planes)[None, :, reach:-reach, reach:-reach])


def _unsupervised_wiener(y: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """scikit-image's, which finds the weights of noise and prior by sampling. Orieux et al., 2010."""
    from skimage.restoration import unsupervised_wiener

    taps = kernel.to(y).numpy()
    planes = [
        unsupervised_wiener(plane, taps, rng=0, clip=False)[0]  # type: ignore[no-untyped-call]
        for plane in y[0].numpy()
    ]
    return torch.from_numpy(np.stack(planes)[None]).to(y)


_METHODS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "blurred": _blurred,
    "wiener": _wiener,
    "tv": _tv,
    "richardson-lucy": _richardson_lucy,
    "unsupervised-wiener": _unsupervised_wiener,
}

DEBLUR_BASELINES = tuple(_METHODS)
