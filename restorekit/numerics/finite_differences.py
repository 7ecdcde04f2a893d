"""Differences between pixels and their neighbours in periodic images: the terms of total variation."""

import math

import torch
from torch import Tensor

Directions = tuple[tuple[int, int], ...]
"""Rows down and columns to the right, from a pixel to each neighbour."""


def finite_differences(x: Tensor, directions: Directions) -> Tensor:
    """Return D x, x_{j+d} - x_j for each direction d: real or complex images [..., H, W] -> [d, ..., H, W]."""
    return torch.stack([x.roll((-down, -right), (-2, -1)) - x for down, right in directions])


def finite_differences_adjoint(v: Tensor, directions: Directions) -> Tensor:
    """Return D^T v: [d, ..., H, W] -> [..., H, W]."""
    parts = zip(directions, v, strict=True)
    return torch.stack([part.roll((down, right), (-2, -1)) - part for (down, right), part in parts]).sum(0)


def finite_differences_spectra(like: Tensor, directions: Directions) -> Tensor:
    """Return the spectrum of D_d^T D_d for each direction d, real, [d, H, W], for images like [..., H, W]."""
    height, width = like.shape[-2:]
    down, right = (2 * math.pi * torch.arange(side, dtype=torch.float64) / side for side in (height, width))
    return torch.stack([2 - 2 * (d * down[:, None] + r * right).cos() for d, r in directions]).to(like.real)
