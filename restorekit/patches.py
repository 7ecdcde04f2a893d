"""Overlapping patches: taking an image apart on a regular grid and adding estimates back together.

A patch grid of stride s on an H x W image has positions (r, c) with r = 0, s, 2s, ... <= H - p and likewise c. Patches
are rows of a matrix: N of them, in row-major order of their positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_shape(height: int, width: int, patch_size: int, stride: int) -> tuple[int, int]:
    """Rows and columns of the patch grid."""
    return (height - patch_size) // stride + 1, (width - patch_size) // stride + 1


def extract_patches(images: Tensor, patch_size: int, stride: int = 1) -> Tensor:
    """All patches of a grid: [B, C, H, W] -> [B, N, C * p * p]."""
    windows = images.unfold(2, patch_size, stride).unfold(3, patch_size, stride)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def aggregate_patches(patches: Tensor, height: int, width: int, patch_size: int, stride: int = 1) -> Tensor:
    """Sum of R_i^T x_i over the grid, the adjoint of `extract_patches`: [B, N, C * p * p] -> [B, C, H, W].

    Fastest when `patches` is the transpose of a contiguous tensor.
    """
    return F.fold(patches.mT, (height, width), patch_size, stride=stride)


def patch_means(images: Tensor, patch_size: int, stride: int = 1) -> Tensor:
    """The mean of each patch over all its pixels and channels: [B, C, H, W] -> [B, N, 1]."""
    return F.avg_pool2d(images.mean(1, keepdim=True), patch_size, stride=stride).flatten(2).mT


def coverage(height: int, width: int, patch_size: int, stride: int = 1, device: torch.device | None = None) -> Tensor:
    """How many patches of the grid contain each pixel: [H, W]. Pixels beyond the last patch have zero."""
    return torch.outer(
        _coverage_1d(height, patch_size, stride, device), _coverage_1d(width, patch_size, stride, device)
    )


def _coverage_1d(length: int, patch_size: int, stride: int, device: torch.device | None) -> Tensor:
    starts = torch.arange(0, length - patch_size + 1, stride, device=device)
    pixels = torch.arange(length, device=device)
    inside = (pixels[:, None] >= starts) & (pixels[:, None] < starts + patch_size)
    return inside.sum(1).to(torch.float32)
