"""What is taken to lie beyond the edges of a picture, where a convolution looks there."""

from __future__ import annotations

import torch
from torch import Tensor


def extend_periodic(images: Tensor, margin: int) -> Tensor:
    """Images extended at the bottom and right so that they can be repeated without a seam: [B, C, H, W], larger.

    The margin fades from the mirror image of one edge to that of the opposite one: with m rows in it, row H + t is
    (1 - w) x[H - 1 - t] + w x[m - 1 - t], w = (t + 1/2) / m. The first H rows and W columns are the image.

    Args:
        images: of any size.
        margin: the least number of rows and columns to add; a few more make the sides fast to transform.
    """
    return _extend(_extend(images, margin).mT, margin).mT.contiguous()


def _extend(images: Tensor, margin: int) -> Tensor:
    height = images.shape[-2]
    added = fast_size(height + margin) - height
    steps = torch.arange(added, device=images.device)
    weights = ((steps + 0.5) / added).to(images.dtype)[:, None]
    below, above = images[..., _mirrored(height + steps, height), :], images[..., _mirrored(steps - added, height), :]
    return torch.cat((images, torch.lerp(below, above, weights)), -2)


def _mirrored(positions: Tensor, length: int) -> Tensor:
    """Indices within 0 .. length - 1 for positions of a line mirrored with its ends repeated, 1 0 0 1 2 .. ."""
    positions = positions % (2 * length)
    return torch.minimum(positions, 2 * length - 1 - positions)


def fast_size(least: int) -> int:
    """The first number from `least` on that has no prime factor above 5: quick to transform."""
    from scipy.fft import next_fast_len

    size: int = next_fast_len(least, real=True)
    return size
