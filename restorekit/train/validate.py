"""Measuring a network during training, always on the same crops with the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from restorekit.metrics import psnr
from restorekit.models import SparseCoding
from restorekit.train.data import centre_crop
from restorekit.train.recipe import LEVELS

STRIDE = 2
"""Patches are coded every second pixel: a quarter of the work, and the same ranking of weights."""
TILE_SIZE = 96


@torch.no_grad()
def validation_psnr(
    network: SparseCoding, images: Sequence[Tensor], crop: int, levels: tuple[float, ...], device: torch.device
) -> dict[str, float]:
    """Mean PSNR in dB over the middle crops of `images`, for each noise level (0..255 scale)."""
    return {f"{level:g}": _mean_psnr(network, images, crop, level / LEVELS, device) for level in levels}


def _mean_psnr(network: SparseCoding, images: Sequence[Tensor], crop: int, sigma: float, device: torch.device) -> float:
    scores = []
    for index, image in enumerate(images):
        clean = centre_crop(image, crop)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(index))
        noisy = (clean + sigma * noise).to(device)
        sums, covered = network(noisy, torch.tensor([sigma], device=device), STRIDE, TILE_SIZE)
        scores.append(psnr((sums / covered).clamp(0, 1).cpu(), clean))
    return fmean(scores)
