"""Colours of a camera: white balance on its mosaic, its matrix to sRGB, and the sRGB transfer curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from restorekit.types import BayerPattern

Image = NDArray[np.float32]


def balance_white(mosaic: Image, factors: Sequence[float], pattern: BayerPattern) -> Image:
    """Return min(1, f_c y), c the channel that a pixel observes: [H, W] -> [H, W].

    With factors of at least 1, a saturated pixel becomes 1 in every channel: highlights clip to white, and not to the
    colour of the sensor.
    """
    balanced = np.empty_like(mosaic)
    for row, column in np.ndindex(2, 2):
        factor = factors[pattern.channel(row, column)]
        balanced[row::2, column::2] = np.minimum(factor * mosaic[row::2, column::2], 1)
    return balanced


def camera_to_srgb(rgb: Image, matrix: ArrayLike) -> Image:
    """Convert white-balanced linear colours of a camera to linear sRGB: min(1, max(0, M x)) of each pixel."""
    converted: Image = rgb @ np.asarray(matrix, np.float32).T
    return np.clip(converted, 0, 1, out=converted)


def encode_srgb(linear: NDArray[Any]) -> Image:
    """Convert light in [0, 1] to sRGB values: 12.92 v up to 0.0031308, then 1.055 v^(1/2.4) - 0.055; IEC 61966-2-1."""
    curve = 1.055 * np.power(linear, 1 / 2.4, dtype=np.float32) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curve).astype(np.float32)


def decode_srgb(values: NDArray[Any]) -> Image:
    """Invert `encode_srgb`: v / 12.92 up to 0.04045, then ((v + 0.055) / 1.055)^2.4."""
    curve = np.power((values + 0.055) / 1.055, 2.4, dtype=np.float32)
    return np.where(values <= 0.04045, values / 12.92, curve).astype(np.float32)
