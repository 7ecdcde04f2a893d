"""A large image solved window by window, each with more around it than is kept, and faded into its neighbours."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
import torch

from restorekit.errors import MemoryExhaustedError, UsageError
from restorekit.inference.plug_and_play import Watch
from restorekit.inference.runner import Image, free_memory
from restorekit.numerics.patches import unless_out_of_memory
from restorekit.types import RunReport

Solve = Callable[[Image], tuple[Image, RunReport]]
"""An image [h, w] or [h, w, C] -> the estimate, [scale h, scale w] alike, and what it took."""

CPU_MEMORY = 1024 * 2**20
"""What a solver may take of a computer's memory for a window, in bytes; whole images and the denoiser are extra."""
BYTES_PER_VALUE = 100
"""Of a window, for each of its values: iterates, their successors and spectra, as measured."""
FADE = 16
"""Pixels over which one window passes into the next."""

GRID = 24
"""Windows start at multiples of it, so that a denoiser's patches, up to 3 pixels apart at scales down to an eighth, lie
where they would in the whole image."""


@dataclass(frozen=True, eq=False)
class Span:
    """A window along a line, from pixel `start` to `stop`, and how much each pixel of its estimate counts."""

    start: int
    stop: int
    weights: Image


@dataclass(frozen=True)
class Windows:
    """How large windows are, and how much of them is dropped.

    pixels: a window has no more of them, unless its overlaps alone take more. halo: pixels dropped at every side that
    is not the image's own, as what lies beyond was not known there. scale: the height of an estimate over that of its
    image.
    """

    pixels: int
    halo: int
    scale: int = 1

    @property
    def overlap(self) -> int:
        """The least number of pixels that neighbours have in common."""
        return 2 * self.halo + FADE + GRID

    @property
    def margin(self) -> int:
        """What to continue an image by, so that its own edges lie in the halo: a multiple of `GRID`."""
        return -(-self.halo // GRID) * GRID

    @property
    def least_side(self) -> int:
        """Of a window of a larger image."""
        return 2 * self.overlap

    def one_suffices(self, height: int, width: int) -> bool:
        """Whether an image is solved whole."""
        return all(len(spans) == 1 for spans in self.over(height, width))

    def over(self, height: int, width: int) -> tuple[list[Span], list[Span]]:
        """Return the windows along the rows and along the columns of an image, one each where it is small."""
        square = int(self.pixels**0.5)
        rows, cols = max(square, self.pixels // width), max(square, self.pixels // height)
        return self._along(height, rows), self._along(width, cols)

    def _along(self, length: int, side: int) -> list[Span]:
        side = min(max(side, self.least_side), length)
        count = 1 if side == length else -(-(length - self.overlap) // (side - self.overlap))
        starts = (np.linspace(0, length - side, count) // GRID * GRID).astype(int).tolist()
        stops = [start + side for start in starts[:-1]] + [length]
        total = np.zeros(self.scale * length, np.float32)
        spans = [Span(start, stop, self._ramps(start, stop, length)) for start, stop in zip(starts, stops, strict=True)]
        for span in spans:
            total[self.scale * span.start : self.scale * span.stop] += span.weights
        for span in spans:
            span.weights[:] /= total[self.scale * span.start : self.scale * span.stop]
        return spans

    def _ramps(self, start: int, stop: int, length: int) -> Image:
        """1 along a window but, towards ends that are not the line's, a fall and then 0 in the halo."""
        place = start + (np.arange(self.scale * (stop - start)) + 0.5) / self.scale
        left = place - start - self.halo if start > 0 else np.full_like(place, FADE)
        right = stop - place - self.halo if stop < length else np.full_like(place, FADE)
        ramps: Image = np.clip(np.minimum(left, right) / FADE, 0, 1).astype(np.float32)
        return ramps


def window_pixels(channels: int, device: torch.device) -> int:
    """Return how many pixels of so many channels a window may have."""
    memory = min(CPU_MEMORY, free_memory() // 2) if device.type == "cpu" else torch.cuda.mem_get_info(device)[0] // 4
    return memory // (channels * BYTES_PER_VALUE)


def solve_over_windows(
    solve: Solve, observed: Image, windows: Windows, watch: Watch | None = None
) -> tuple[Image, RunReport]:
    """Return x = sum_ij r_i c_j x_ij for an image [H, W] or [H, W, C], x_ij what `solve` makes of window i, j.

    The weights r of the rows sum to one everywhere, and those of the columns, c. Where memory runs out windows of a
    quarter are tried. Raises UsageError: somebody watches the iterations, and the image does not fit into one window;
    MemoryExhaustedError: the smallest windows do not fit either.
    """
    height, width = observed.shape[:2]
    if watch is not None and not windows.one_suffices(height, width):
        raise UsageError(f"iterations can be watched on up to {windows.pixels / 1e6:.1f} megapixels; this is more")
    windows = replace(windows, pixels=min(windows.pixels, height * width))
    while True:
        solved = unless_out_of_memory(partial(_solved, solve, observed, windows))
        if solved is not None:
            return solved
        if watch is not None or windows.pixels <= windows.least_side**2:
            raise MemoryExhaustedError("the image does not fit into memory; free some and try again")
        windows = replace(windows, pixels=windows.pixels // 4)


def _solved(solve: Solve, observed: Image, windows: Windows) -> tuple[Image, RunReport]:
    if windows.one_suffices(*observed.shape[:2]):
        return solve(observed)
    scale, (height, width, *channels) = windows.scale, observed.shape
    estimate = np.zeros((scale * height, scale * width, *channels), np.float32)
    reports = []
    for down, across in product(*windows.over(height, width)):
        part, report = solve(observed[down.start : down.stop, across.start : across.stop])
        weights = np.outer(down.weights, across.weights)
        place = slice(scale * down.start, scale * down.stop), slice(scale * across.start, scale * across.stop)
        estimate[place] += part * weights.reshape(weights.shape + (1,) * (part.ndim - 2))
        reports.append(report)
    return estimate, RunReport.total(reports)
