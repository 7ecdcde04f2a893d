"""Overlapping patches: cutting images into them on a regular grid, and adding estimates back together.

A patch grid of stride s on an H x W image has positions (r, c) with r = 0, s, 2s, ... <= H - p and likewise c. Patches
are rows of a matrix: N of them, in row-major order of their positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.errors import MemoryExhaustedError

T = TypeVar("T")


def grid_shape(height: int, width: int, patch_size: int, stride: int) -> tuple[int, int]:
    """Return the rows and columns of the patch grid."""
    return (height - patch_size) // stride + 1, (width - patch_size) // stride + 1


def extract_patches(images: Tensor, patch_size: int, stride: int = 1) -> Tensor:
    """Return all patches of a grid: [B, C, H, W] -> [B, N, C * p * p]."""
    windows = images.unfold(2, patch_size, stride).unfold(3, patch_size, stride)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def aggregate_patches(patches: Tensor, height: int, width: int, patch_size: int, stride: int = 1) -> Tensor:
    """Return sum_i R_i^T x_i, the adjoint of `extract_patches`: [B, N, C * p * p] -> [B, C, H, W]."""
    # Fastest when `patches` is the transpose of a contiguous tensor.
    return F.fold(patches.mT, (height, width), patch_size, stride=stride)


def patch_means(images: Tensor, patch_size: int, stride: int = 1) -> Tensor:
    """Return the mean of each patch over all its pixels and channels: [B, C, H, W] -> [B, N, 1]."""
    return F.avg_pool2d(images.mean(1, keepdim=True), patch_size, stride=stride).flatten(2).mT


def coverage(height: int, width: int, patch_size: int, stride: int = 1, device: torch.device | None = None) -> Tensor:
    """Return how many patches of the grid contain each pixel, [H, W]: zero beyond the last patch."""

    def along(length: int) -> Tensor:
        starts = torch.arange(0, length - patch_size + 1, stride, device=device)
        pixels = torch.arange(length, device=device)[:, None]
        return ((pixels >= starts) & (pixels < starts + patch_size)).sum(1).to(torch.float32)

    return torch.outer(along(height), along(width))


@dataclass(frozen=True)
class GridBlock:
    """`rows` x `cols` patches, `stride` pixels apart, the first with its corner at pixel (`top`, `left`)."""

    top: int
    left: int
    rows: int
    cols: int
    stride: int

    def window(self, patch_size: int) -> tuple[slice, slice]:
        """Return the pixels that the patches of the block cover, as slices of rows and columns."""
        height, width = self.window_size(patch_size)
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def window_size(self, patch_size: int) -> tuple[int, int]:
        """Return the height and width of `window`."""
        return (self.rows - 1) * self.stride + patch_size, (self.cols - 1) * self.stride + patch_size

    def grown(self, steps: int, height: int, width: int, patch_size: int) -> GridBlock:
        """Return the block with `steps` more rows and columns all around, as far as the image's grid goes."""
        up, left = min(steps, self.top // self.stride), min(steps, self.left // self.stride)
        down = min(steps, (height - patch_size - self.top) // self.stride - self.rows + 1)
        right = min(steps, (width - patch_size - self.left) // self.stride - self.cols + 1)
        corner = self.top - up * self.stride, self.left - left * self.stride
        return GridBlock(*corner, self.rows + up + down, self.cols + left + right, self.stride)

    def within(self, outer: GridBlock, patches: Tensor) -> Tensor:
        """Select the patches [B, N, m] of this block from those of a block around it on the same grid."""
        top, left = (self.top - outer.top) // self.stride, (self.left - outer.left) // self.stride
        grid = patches.mT.reshape(patches.shape[0], patches.shape[2], outer.rows, outer.cols)
        return grid[..., top : top + self.rows, left : left + self.cols].flatten(2).mT

    def halves(self) -> tuple[GridBlock, GridBlock]:
        """Cut the block, of more than one patch, in two across its longer side."""
        if self.rows >= self.cols:
            cut = self.rows // 2
            return replace(self, rows=cut), replace(self, top=self.top + cut * self.stride, rows=self.rows - cut)
        cut = self.cols // 2
        return replace(self, cols=cut), replace(self, left=self.left + cut * self.stride, cols=self.cols - cut)


def regular_length(length: int, patch_size: int, stride: int) -> int:
    """Return the least length, at least `length`, at whose end a regular grid of patches ends."""
    return length + (patch_size - length) % stride


def grid_blocks(height: int, width: int, patch_size: int, stride: int, tile_size: int) -> list[GridBlock]:
    """Cut the patch grid of an image, at least as large as a patch, into blocks of at most `tile_size` pixels across.

    Every `stride`-th row and column of patches is used, and always the last ones, so that every pixel is covered. A
    last row or column off the regular grid is a block of its own.
    """
    per_block = max(1, (tile_size - patch_size) // stride + 1)

    def runs(last: int) -> list[tuple[int, int]]:
        # The positions 0, s, 2s, ... and `last` as (start, count).
        regular = last // stride + 1
        found = [(first * stride, min(per_block, regular - first)) for first in range(0, regular, per_block)]
        return [*found, (last, 1)] if last % stride else found

    corners = product(runs(height - patch_size), runs(width - patch_size))
    return [GridBlock(top, left, rows, cols, stride) for (top, rows), (left, cols) in corners]


def accumulate_blocks(
    estimate: Callable[[GridBlock], tuple[Tensor, Tensor]], blocks: Sequence[GridBlock], patch_size: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Add up the estimates of all blocks: sums [B, C, H, W] shaped like `like`, coverage [H, W]. A block for which
    memory runs out is cut in two and tried again; only for a single patch is it a MemoryExhaustedError.
    """
    sums, covered = torch.zeros_like(like), like.new_zeros(like.shape[-2:])
    pending = list(reversed(blocks))
    while pending:
        block = pending.pop()
        result = unless_out_of_memory(partial(estimate, block))
        if result is None:
            if block.rows * block.cols == 1:
                raise MemoryExhaustedError("memory ran out even on the smallest tile; free some memory and try again")
            pending.extend(reversed(block.halves()))
            continue
        window = (..., *block.window(patch_size))
        sums[window] += result[0]
        covered[window] += result[1]
    return sums, covered


def unless_out_of_memory(work: Callable[[], T]) -> T | None:
    """Return what `work` returns, or None if memory ran out."""
    try:
        return within_memory(work)
    except MemoryExhaustedError:
        return None


def within_memory(work: Callable[[], T], advice: str = "free some and try again") -> T:
    """Return what `work` returns. Raises MemoryExhaustedError, ending in the advice, if memory runs out."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        # On CUDA torch raises OutOfMemoryError, but its CPU allocator raises a plain RuntimeError.
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error):
            raise MemoryExhaustedError(f"the image does not fit into memory; {advice}") from error
        raise
