"""Well-known denoisers to compare with: total variation, non-local means, BM3D, and doing nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from restorekit.errors import MissingExtraError, UsageError

Image = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Baseline:
    """A `Method` at `GaussianNoise`: [H, W] or [H, W, 3] and its noise level in [0, 1] -> the same shape."""

    name: str
    method: Callable[[Image, float], npt.NDArray[Any]]

    def __call__(self, noisy: Image, sigma: float) -> Image:
        """The image without noise, float32. At sigma 0 it is the image itself, which the methods divide by."""
        return noisy if sigma == 0 else np.asarray(self.method(noisy, sigma), np.float32)


def baseline(name: str) -> Baseline:
    """The baseline of that name, one of `BASELINES`.

    Raises:
        UsageError: there is none.
        MissingExtraError: bm3d is not installed.
    """
    if name not in _METHODS:
        raise UsageError(f"no baseline is named {name!r}; choose {', '.join(BASELINES)}")
    if name == "bm3d" and importlib.util.find_spec("bm3d") is None:
        raise MissingExtraError(
            "BM3D is not installed: pip install 'restorekit[baselines]' "
            "(the bm3d package's licence allows non-commercial use only)"
        )
    return Baseline(name, _METHODS[name])


def _noisy(noisy: Image, sigma: float) -> Image:
    return noisy


def _tv(noisy: Image, sigma: float) -> npt.NDArray[Any]:
    """Chambolle's method. Weights over sigma found best on photographs of BSDS500's training set, grey and colour."""
    from skimage.restoration import denoise_tv_chambolle

    ratio = float(np.interp(255 * sigma, (5, 15, 25), (0.48, 0.70, 0.85)))
    weight, axis = ratio * sigma, _channel_axis(noisy)
    return np.asarray(denoise_tv_chambolle(noisy, weight=weight, channel_axis=axis))  # type: ignore[no-untyped-call]


def _nlm(noisy: Image, sigma: float) -> npt.NDArray[Any]:
    """Fast non-local means, patches of 5x5 within 6 pixels.

    h = 0.6 sigma was better on those photographs, from sigma 15 up, than the 0.8 sigma scikit-image starts from.
    """
    from skimage.restoration import denoise_nl_means

    return np.asarray(
        denoise_nl_means(
            noisy,
            patch_size=5,
            patch_distance=6,
            h=0.6 * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=_channel_axis(noisy),
        )
    )


def _bm3d(noisy: Image, sigma: float) -> npt.NDArray[Any]:
    """Both stages, with the package's standard profile; colour images in its opponent colour space."""
    import bm3d

    return np.asarray((bm3d.bm3d if noisy.ndim == 2 else bm3d.bm3d_rgb)(noisy, sigma))


def _channel_axis(image: Image) -> int | None:
    return None if image.ndim == 2 else -1


_METHODS: dict[str, Callable[[Image, float], npt.NDArray[Any]]] = {
    "noisy": _noisy,
    "tv": _tv,
    "nlm": _nlm,
    "bm3d": _bm3d,
}

BASELINES = tuple(_METHODS)
