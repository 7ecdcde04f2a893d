"""The eight symmetries of a square, by which images are rotated and mirrored, and estimates averaged over them."""

from collections.abc import Callable

import torch
from torch import Tensor

DIHEDRAL_VIEWS = 8
TRANSPOSED = 5
"""The symmetry that exchanges rows and columns."""


def dihedral(images: Tensor, turn: int) -> Tensor:
    """Rotate images [B, C, H, W] by 90 degrees `turn` times, and mirror them as well from 4 to 7."""
    if turn == 0:
        return images
    rotated = torch.rot90(images, turn % 4, (-2, -1))
    return rotated.flip(-1) if turn >= DIHEDRAL_VIEWS // 2 else rotated


def dihedral_inverse(images: Tensor, turn: int) -> Tensor:
    """Undo `dihedral`."""
    return torch.rot90(images.flip(-1) if turn >= DIHEDRAL_VIEWS // 2 else images, -(turn % 4), (-2, -1))


def mean_over_dihedral(estimate: Callable[[int], Tensor]) -> Tensor:
    """Return 1/8 sum_t T_t^-1 f_t(T_t y), with `estimate`(t) = f_t(T_t y), [B, C, H, W].

    Noise, blur and decimation have no direction, but the filters of a network do: its errors differ between views.
    """
    total = estimate(0)
    for turn in range(1, DIHEDRAL_VIEWS):
        total = total + dihedral_inverse(estimate(turn), turn)
    return total / DIHEDRAL_VIEWS
