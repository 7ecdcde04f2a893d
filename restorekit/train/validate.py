"""Measuring a network during training, always on the same crops degraded in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from restorekit.metrics import psnr
from restorekit.models import PatchNetwork
from restorekit.train.data import centre_crop
from restorekit.train.degradation import Degradation

STRIDE = 2
"""Patches are coded every second pixel: a quarter of the work, and the same ranking of weights."""
TILE_SIZE = 160


@torch.no_grad()
def validation_psnr(
    network: PatchNetwork, images: Sequence[Tensor], crop: int, degradation: Degradation, device: torch.device
) -> dict[str, float]:
    """Mean PSNR in dB over the middle crops of `images`, for each level the degradation is validated at."""
    crops = [centre_crop(image, crop) for image in images]
    return {f"{level:g}": _mean_psnr(network, crops, degradation, level, device) for level in degradation.validation}


def _mean_psnr(
    network: PatchNetwork, crops: Sequence[Tensor], degradation: Degradation, level: float, device: torch.device
) -> float:
    scores = []
    for index, clean in enumerate(crops):
        observed = degradation.at(clean, level, torch.Generator().manual_seed(index))
        mask = None if observed.mask is None else observed.mask.to(device)
        sums, covered = network(observed.images.to(device), observed.level.to(device), STRIDE, TILE_SIZE, mask=mask)
        scores.append(psnr((sums / covered).clamp(0, 1).cpu(), clean))
    return fmean(scores)
