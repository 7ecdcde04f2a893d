"""Demosaicking as something to measure: clean images seen through a Bayer pattern, and well-known ways back."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from restorekit.errors import MissingExtraError, UnsupportedImageError, UsageError
from restorekit.evaluate.benchmark import SCORING
from restorekit.evaluate.results import Level
from restorekit.image import Picture
from restorekit.physics.mosaic import interpolate, mosaic, spread
from restorekit.types import BayerPattern

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BayerMosaic:
    """The `Degradation` y[i, j] = x[i, j, c], c the channel that pixel (i, j) observes: one colour a pixel, no noise.

    levels: the patterns.

    """

    levels: tuple[BayerPattern, ...]
    task: str = "demosaic"
    axis: str = "pattern"
    protocol: str = (
        "Of each pixel one colour is kept, that which a Bayer sensor observes there, without noise and without further "
        "rounding. " + SCORING
    )
    untouched: None = None

    def prepare(self, picture: Picture) -> Image:
        """The picture in colour. Raises UnsupportedImageError for a grey one."""
        if picture.is_grey:
            raise UnsupportedImageError("a grey image, of which there is nothing to demosaic")
        return picture.to_float()

    def observe(self, clean: Image, level: BayerPattern, seed: int) -> Image:
        """The mosaic [H, W] of an image [H, W, 3]."""
        observed: Image = mosaic(torch.from_numpy(clean), level).numpy()
        return observed

    def describe(self, level: BayerPattern) -> Level:
        """Such as `rggb`."""
        return Level(level.value, level.value)


@dataclass(frozen=True)
class Demosaicker:
    """A `Method` at `BayerMosaic`: a mosaic [H, W] and its pattern -> RGB [H, W, 3]."""

    name: str
    method: Callable[[Image, BayerPattern], npt.NDArray[Any]]

    def __call__(self, observed: Image, pattern: BayerPattern) -> Image:
        """The colour image, float32."""
        return np.asarray(self.method(observed, pattern), np.float32)


def demosaicker(name: str) -> Demosaicker:
    """The baseline of that name, one of `DEMOSAICKERS`.

    Raises:
        UsageError: there is none.
        MissingExtraError: its package is not installed.
    """
    if name not in _METHODS:
        raise UsageError(f"no baseline is named {name!r}; choose {', '.join(DEMOSAICKERS)}")
    package = _PACKAGES.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        raise MissingExtraError(f"{name} needs the package {package}: pip install 'restorekit[baselines]'")
    return Demosaicker(name, _METHODS[name])


def _bilinear(observed: Image, pattern: BayerPattern) -> npt.NDArray[Any]:
    """Each channel the mean of its nearest observations, two or four; the mirror at the border keeps the pattern."""
    from scipy.ndimage import convolve

    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
    square = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    channels = spread(torch.from_numpy(observed), pattern).numpy()
    return np.dstack([convolve(channels[..., c], cross if c == 1 else square, mode="mirror") for c in range(3)])


def _malvar(observed: Image, pattern: BayerPattern) -> npt.NDArray[Any]:
    """Linear interpolation in 5x5 pixels, where the models start from."""
    rgb = interpolate(torch.from_numpy(observed)[None, None], pattern)
    return np.asarray(rgb[0].permute(1, 2, 0).numpy())


def _opencv(observed: Image, pattern: BayerPattern) -> npt.NDArray[Any]:
    """OpenCV's edge-aware interpolation, which works in integers: of 16 bits here.

    Its older, shorter names of the patterns are those of other pixels: BayerRGGB is what was BayerBG.
    """
    import cv2

    code = getattr(cv2, f"COLOR_Bayer{pattern.upper()}2RGB_EA")
    return np.asarray(cv2.cvtColor(np.rint(observed * 65535).astype(np.uint16), code)) / 65535


def _menon(observed: Image, pattern: BayerPattern) -> npt.NDArray[Any]:
    """D. Menon, S. Andriani and G. Calvagno, Demosaicing with directional filtering and a posteriori decision, 2007."""
    from colour_demosaicing import demosaicing_CFA_Bayer_Menon2007

    return np.asarray(demosaicing_CFA_Bayer_Menon2007(observed, pattern.upper()))


_METHODS: dict[str, Callable[[Image, BayerPattern], npt.NDArray[Any]]] = {
    "bilinear": _bilinear,
    "malvar": _malvar,
    "opencv": _opencv,
    "menon": _menon,
}
_PACKAGES = {"opencv": "cv2", "menon": "colour_demosaicing"}

DEMOSAICKERS = tuple(_METHODS)
