"""The eight ways to turn and mirror an image, and estimates that are averaged over them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

DIHEDRAL_VIEWS = 8
TRANSPOSED = 5
"""The turn that makes rows of columns."""


def dihedral(images: Tensor, turn: int) -> Tensor:
    """Images [B, C, H, W] by 90 degrees `turn` times, and from 4 on mirrored, too."""
    if turn == 0:
        return images
    rotated = torch.rot90(images, turn % 4, (-2, -1))
    return rotated.flip(-1) if turn >= DIHEDRAL_VIEWS // 2 else rotated


def dihedral_inverse(images: Tensor, turn: int) -> Tensor:
    """What `turned` made, as it was."""
    return torch.rot90(images.flip(-1) if turn >= DIHEDRAL_VIEWS // 2 else images, -(turn % 4), (-2, -1))


def mean_over_dihedral(estimate: Callable[[int], Tensor]) -> Tensor:
    """1/8 sum_t T_t^-1 f_t(T_t y), with `estimate`(t) = f_t(T_t y), [B, C, H, W].

    Noise, blur and decimation know no direction, and the errors of a network of convolutions, whose filters have one,
    differ from turn to turn.
    """
    total = estimate(0)
    for turn in range(1, DIHEDRAL_VIEWS):
        total = total + dihedral_inverse(estimate(turn), turn)
    return total / DIHEDRAL_VIEWS
