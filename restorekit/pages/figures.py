"""Choosing what of an image to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restorekit.errors import MissingExtraError

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


def check_plots() -> None:
    """Raise MissingExtraError if plots cannot be drawn: to be asked before work starts."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a plot needs matplotlib: pip install 'restorekit[train]'") from error


def draw_convergence(residuals: Sequence[float], psnrs: Sequence[float], title: str) -> bytes:
    """A PNG file: ||x_k+1 - x_k|| / ||x_k|| by iteration and, above it, the PSNR where there is one.

    Args:
        residuals: of each iteration, from the first on.
        psnrs: as many in dB, or none.
        title: such as the name of the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    check_plots()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5 if psnrs else 3), layout="constrained")
    axes = list(figure.subplots(2 if psnrs else 1, 1, sharex=True, squeeze=False)[:, 0])
    axes[0].set_title(title)
    if psnrs:
        axes[0].plot(range(1, len(psnrs) + 1), psnrs, marker=".")
        axes[0].set_ylabel("PSNR, dB")
    axes[-1].semilogy(range(1, len(residuals) + 1), residuals, marker=".", color="tab:gray")
    axes[-1].set_ylabel("relative change")
    axes[-1].set_xlabel("iteration")
    for axis in axes:
        axis.grid(alpha=0.3)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()
