"""What training makes small, for each kind of network."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor, nn

from restorekit.models import Measurement, Reconstructor
from restorekit.numerics.metrics import psnr
from restorekit.train.data import COMPLEX, centre_crop

LEVELS = 255.0
from restorekit.train.recipe import LOGARITHMIC, Recipe

REFERENCE_LEVEL = 25 / LEVELS
NEGLIGIBLE = 1e-4
"""A mean squared error of 40 dB: flat crops, easily better than that, then do not outweigh all others."""


class Objective(nn.Module):
    """mean_b (c_b / 25)^-balance e_b, with c_b the conditioning and e_b the squared error of crop b.

    e_b = sum_i n_i (x_hat_i - x_i)^2 / sum_i n_i over the pixels i that are `margin` or more from the border of the
    crop, n_i being the weights that the network names beside its images. Operators take a crop to go on periodically,
    and its seams are nothing that a photograph has. Where a measurement is of the top left of the crop, that is the
    crop. Where a network names several images to be fitted, e_b is the mean over them.

    The factor of the conditioning lets faint and strong degradations count alike, as squared error grows about like
    c^balance. With the loss "logarithmic" it is mean_b log(e_b + 1e-4), which lets each crop count alike, as mean PSNR
    does.
    """

    def __init__(self, network: Reconstructor, loss: str, balance: float, margin: int = 0) -> None:
        super().__init__()
        self.network, self.loss, self.balance, self.margin = network, loss, balance, margin

    def forward(
        self, measurement: Measurement, clean: Tensor, stride: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and the mean squared error of each crop, [B]; clean is [B, C, H, W]."""
        fitted = self.network.fitted(measurement, stride, generator)
        errors = torch.stack([self._squared_error(x, weight, clean) for x, weight in fitted]).mean(0)
        if self.loss == LOGARITHMIC:
            return (errors + NEGLIGIBLE).log().mean(), errors.detach()
        return (errors * (measurement.conditioning / REFERENCE_LEVEL) ** -self.balance).mean(), errors.detach()

    @property
    def compilable(self) -> nn.Module:
        """The module that is worth compiling."""
        repeated = self.network.repeated
        return self if repeated is self.network else repeated

    def _squared_error(self, x: Tensor, weight: Tensor | None, clean: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        difference = without_border(x - clean[..., :height, :width], self.margin)
        if weight is None:
            return difference.square().mean((1, 2, 3))
        weight = without_border(weight, self.margin)
        weighted: Tensor = (difference.square() * weight).mean((1, 2, 3)) / weight.mean()
        return weighted


def objective_of(network: Reconstructor, recipe: Recipe) -> Objective:
    """Return the objective of a recipe."""
    return Objective(network, recipe.loss, recipe.degradation.balance, recipe.data.margin)


def without_border(images: Tensor, margin: int) -> Tensor:
    """Images [B, C, H, W] without the `margin` pixels along each side."""
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


STRIDE = 2
"""Patches are coded every second pixel: a quarter of the work, and the same ranking of weights."""
TILE_SIZE = 160


@torch.no_grad()
def validation_psnr(
    network: Reconstructor, images: Sequence[Tensor], recipe: Recipe, device: torch.device
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
        restored = objective.network.reconstruct(observed.to(device), STRIDE, TILE_SIZE).clamp(least, 1).cpu()
        margin = recipe.data.margin
        # A picture smaller than the crop may have been cut to what a scale divides.
        clean = clean[..., : restored.shape[-2], : restored.shape[-1]]
        scores.append(psnr(without_border(restored, margin), without_border(clean, margin)))
    return scores
