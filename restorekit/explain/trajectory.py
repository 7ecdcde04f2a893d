"""One run of a network over a window of an image, and all that it went through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.models import SparseCoding
from restorekit.patches import aggregate_patches, coverage
from restorekit.priors.similar_patches import Similarities
from restorekit.priors.similarity import Grid
from restorekit.restore.engine import inference

LARGEST_WINDOW = 256
"""Pixels across: every code of every patch is kept, so that memory sets a bound."""


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """That part of an image [H, W] or [H, W, C], a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Trajectory:
    """What a run left behind, on the CPU.

    observed: the window [B = 1, C, h, w]. estimates: the window after each step, likewise, not clamped. codes: alpha_i
    at the end, [N, p]. means: mu_i at the end, [N, 1]. atoms: the columns of W as rows, with their gains, [p, m].
    similarities: those of the last refresh; None if every patch was restored by itself. refresh: the steps before which
    similarities, targets and means were renewed.
    """

    observed: Tensor
    estimates: tuple[Tensor, ...]
    codes: Tensor
    means: Tensor
    atoms: Tensor
    similarities: Similarities | None
    refresh: tuple[int, ...]
    grid: Grid
    patch_size: int

    @property
    def patches(self) -> Tensor:
        """The estimate of each patch, W alpha_i + mu_i, [N, m]."""
        return self.codes @ self.atoms + self.means

    def corner(self, index: int) -> tuple[int, int]:
        """Row and column of a patch's first pixel in the window."""
        row, col = divmod(index, self.grid.cols)
        return row * self.grid.stride, col * self.grid.stride

    def patch_at(self, row: float, col: float) -> int:
        """The patch whose centre is nearest to a place of the window."""
        half, stride = (self.patch_size - 1) / 2, self.grid.stride
        row = min(max(round((row - half) / stride), 0), self.grid.rows - 1)
        return row * self.grid.cols + min(max(round((col - half) / stride), 0), self.grid.cols - 1)


@inference()
def follow(network: SparseCoding, window: Tensor, level: float, stride: int, mask: Tensor | None = None) -> Trajectory:
    """Run the network over a window [1, C, h, w], all of it covered by the patches of one grid, and watch.

    `mask` is 1 where a value was observed and 0 where it was interpolated, like the window; None if all were observed.
    """
    window = window.to(network.dictionary.device)
    mask = None if mask is None else mask.to(window)
    height, width = window.shape[-2:]
    covered = coverage(height, width, network.patch_size, stride, window.device)
    levels = torch.full((1,), level, device=window.device)
    atoms = network.synthesis_at(levels)[0]
    estimates: list[Tensor] = []
    last: list[tuple[Tensor, Tensor]] = []

    def watch(_: int, codes: Tensor, means: Tensor) -> None:
        # Codes are overwritten by the step after the next: what is needed of them is made now.
        sums = aggregate_patches(codes @ atoms + means, height, width, network.patch_size, stride)
        estimates.append((sums / covered).cpu())
        last[:] = [(codes[0], means[0])]

    run = network.watched(window, levels, stride, watch, mask)
    codes, means = last[0]
    similar = run.similarities
    return Trajectory(
        window.cpu(),
        tuple(estimates),
        codes.cpu(),
        means.cpu(),
        atoms.cpu(),
        None if similar is None else Similarities(similar.peers.cpu(), similar.values.cpu(), similar.own.cpu()),
        network.settings.refresh,
        run.grid,
        network.patch_size,
    )


def region_around(row: int, col: int, shape: tuple[int, ...], network: SparseCoding, stride: int) -> Region:
    """The region of at most `LARGEST_WINDOW` pixels across to explain, with a place of the image near its middle.

    Its patches are some of those that the whole image is restored by: it begins on their grid, and on that of the
    pixels at half size and smaller, and ends where a patch does.

    Raises:
        UsageError: an image smaller than a patch.
    """
    if min(shape[:2]) < network.patch_size:
        size = network.patch_size
        raise UsageError(f"an image of {shape[1]}x{shape[0]} pixels is smaller than a patch ({size}x{size}) to explain")
    step = math.lcm(stride, 2 ** (network.settings.scales - 1))
    top, height = _span(row, shape[0], network.patch_size, stride, step)
    left, width = _span(col, shape[1], network.patch_size, stride, step)
    return Region(top, left, height, width)


def _span(centre: int, length: int, patch_size: int, stride: int, step: int) -> tuple[int, int]:
    """Start and length."""
    start = min(max(centre - LARGEST_WINDOW // 2, 0), max(length - LARGEST_WINDOW, 0))
    start += -start % step
    extent = min(length - start, LARGEST_WINDOW)
    return start, extent - (extent - patch_size) % stride
