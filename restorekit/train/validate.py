"""Measuring a network during training, always on the same crops degraded in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor

from restorekit.metrics import psnr
from restorekit.models import AnyNetwork
from restorekit.train.data import COMPLEX, centre_crop
from restorekit.train.objective import Objective, objective_of, without_border
from restorekit.train.recipe import Recipe

STRIDE = 2
"""Patches are coded every second pixel: a quarter of the work, and the same ranking of weights."""
TILE_SIZE = 160


@torch.no_grad()
def validation_psnr(
    network: AnyNetwork, images: Sequence[Tensor], recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Mean PSNR in dB over the middle crops of `images`, for each level the degradation is validated at."""
    objective = objective_of(network, recipe)
    crops = [centre_crop(image, recipe.data.validation_crop) for image in images]
    # What was compiled for the crops of training would be compiled anew for these.
    with torch.compiler.set_stance("force_eager"):
        return {
            f"{level:g}": fmean(_psnrs(objective, crops, recipe, level, device))
            for level in recipe.degradation.validation
        }


def _psnrs(
    objective: Objective, crops: Sequence[Tensor], recipe: Recipe, level: float, device: torch.device
) -> list[float]:
    scores = []
    for index, clean in enumerate(crops):
        observed = recipe.degradation.at(clean, level, torch.Generator().manual_seed(index))
        least = -1 if clean.shape[1] == COMPLEX else 0
        restored = objective.restored(observed.to(device), STRIDE, TILE_SIZE).clamp(least, 1).cpu()
        margin = recipe.data.margin
        # A picture smaller than the crop may have been cut to what a scale divides.
        clean = clean[..., : restored.shape[-2], : restored.shape[-1]]
        scores.append(psnr(without_border(restored, margin), without_border(clean, margin)))
    return scores
