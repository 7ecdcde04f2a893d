"""Choosing what of an image to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, and the mean gradient magnitude in it."""

    top: int
    left: int
    height: int
    width: int
    detail: float

    def cut(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """That part of the image, a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def most_detailed_window(image: npt.NDArray[np.float32], size: int) -> Window:
    """The window of `size` pixels, or less on smaller images, with the largest mean gradient magnitude."""
    grey = image if image.ndim == 2 else image.mean(2)
    height, width = (min(size, side) for side in grey.shape)
    gradient = np.zeros(grey.shape)
    gradient[:-1] += np.square(np.diff(grey, axis=0))
    gradient[:, :-1] += np.square(np.diff(grey, axis=1))
    # A summed-area table: four look-ups give the sum over any window.
    table = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1))
    table[1:, 1:] = np.sqrt(gradient).cumsum(0).cumsum(1)
    sums = table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Window(int(top), int(left), height, width, float(sums[top, left]) / (height * width))


def to_8_bits(image: npt.NDArray[np.float32]) -> Pixels8:
    """Clamped to [0, 1], scaled to 0..255 and rounded: for display only."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
