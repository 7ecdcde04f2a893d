"""Super-resolution as something to measure: images downsampled as torch does it."""

from __future__ import annotations

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
from restorekit.physics.decimation import bicubic_decimation
from restorekit.restore.superres import enlarge_bicubic, shrink_bicubic

Image = npt.NDArray[np.float32]

_MULTIPLE = 12
"""Of 2, 3 and 4: sides are cut to multiples of it, so that all scales are measured on the same pixels."""


@dataclass(frozen=True)
class BicubicDownsampling:
    """The `Degradation` of torch's bicubic interpolation (a = -0.75) by 1 / s, without antialiasing, for each scale s.

    levels: scales, 2, 3 or 4.

    Raises:
        UsageError: a level that is none.
    """

    levels: tuple[int, ...]
    task: str = "superres"
    axis: str = "scale"
    protocol: str = (
        "Sides are cut to multiples of 12; low resolution is torch's interpolate(mode='bicubic', align_corners=False, "
        "antialias=False) in float32, neither clipped nor rounded. " + SCORING
    )
    untouched: None = None

    def __post_init__(self) -> None:
        for scale in self.levels:
            bicubic_decimation(scale)

    def prepare(self, picture: Picture) -> Image:
        """Grey or colour, cut at the bottom and right. Raises UnsupportedImageError below 12 pixels."""
        height, width = (side - side % _MULTIPLE for side in picture.pixels.shape[:2])
        if min(height, width) == 0:
            raise UnsupportedImageError(f"less than {_MULTIPLE} pixels high or wide")
        return np.ascontiguousarray(picture.to_float()[:height, :width])

    def observe(self, clean: Image, level: int, seed: int) -> Image:
        """The clean image at low resolution; nothing is random."""
        return as_pixels(shrink_bicubic(as_batch(clean, torch.device("cpu")), level), clean.ndim)

    def describe(self, level: int) -> Level:
        """Such as `x3`."""
        return Level(level, f"x{level}")


@dataclass(frozen=True)
class Enlarger:
    """A `Method` at `BicubicDownsampling`: [h, w] or [h, w, 3] and the scale s -> [s h, s w] or [s h, s w, 3]."""

    name: str
    method: Callable[[Tensor, int], Tensor]

    def __call__(self, observed: Image, scale: int) -> Image:
        """The estimate, float32."""
        return as_pixels(self.method(as_batch(observed, torch.device("cpu")), scale), observed.ndim)


def enlarger(name: str) -> Enlarger:
    """The baseline of that name, one of `ENLARGERS`.

    Raises:
        UsageError: there is none.
    """
    if name not in _METHODS:
        raise UsageError(f"no baseline is named {name!r}; choose {', '.join(ENLARGERS)}")
    return Enlarger(name, _METHODS[name])


_METHODS: dict[str, Callable[[Tensor, int], Tensor]] = {"bicubic": enlarge_bicubic}

ENLARGERS = tuple(_METHODS)
