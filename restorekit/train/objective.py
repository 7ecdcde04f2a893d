"""The function that training minimises, and the PSNR that it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from torch import Tensor, nn

from restorekit.models import Measurement, Reconstructor
from restorekit.numerics.metrics import psnr
from restorekit.tasks.base import FULL_SCALE
from restorekit.train.data import COMPLEX, centre_crop
from restorekit.train.recipe import Recipe

REFERENCE = 25 / FULL_SCALE
NEGLIGIBLE = 1e-4
"""A mean squared error of 40 dB: flat crops easily get better than that, and must not outweigh all others."""
STRIDE = 2
"""Validation codes every second patch: a quarter of the work, and the same ranking of weights."""
TILE_SIZE = 160


class Objective(nn.Module):
    """mean_b (c_b / 25)^-balance e_b, with c_b the conditioning and e_b the squared error of crop b.

    e_b = sum_i n_i (x_hat_i - x_i)^2 / sum_i n_i over the pixels i that are `margin` or more from the border of the
    crop, with the weights n_i that the network gives beside its images: operators take crops to be periodic, and their
    seams are unlike any photograph. A measurement of the top left of the crop is compared with that part. If a network
    gives several images to be fitted, e_b is the mean over them.

    Squared error grows about like c^balance, so the first factor lets faint and strong degradations count alike. With
    the loss "logarithmic" it is mean_b log(e_b + 1e-4), where each crop counts alike, as in a mean PSNR.
    """

    def __init__(self, network: Reconstructor, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.margin = network, recipe.data.margin
        self.loss, self.balance = recipe.loss, recipe.degradation.balance

    @property
    def compilable(self) -> nn.Module:
        """The module that is worth compiling."""
        return self if self.network.repeated is self.network else self.network.repeated

    def forward(
        self, measurement: Measurement, clean: Tensor, stride: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and the mean squared error of each crop, [B]; clean is [B, C, H, W]."""
        fitted = self.network.fitted(measurement, stride, generator)
        errors = torch.stack([self._squared_error(x, weight, clean) for x, weight in fitted]).mean(0)
        if self.loss == "logarithmic":
            return (errors + NEGLIGIBLE).log().mean(), errors.detach()
        return (errors * (measurement.conditioning / REFERENCE) ** -self.balance).mean(), errors.detach()

    def _squared_error(self, x: Tensor, weight: Tensor | None, clean: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        difference = without_border(x - clean[..., :height, :width], self.margin)
        if weight is None:
            return difference.square().mean((1, 2, 3))
        weight = without_border(weight, self.margin)
        weighted: Tensor = (difference.square() * weight).mean((1, 2, 3)) / weight.mean()
        return weighted


def without_border(images: Tensor, margin: int) -> Tensor:
    """Return images [..., H, W] without the `margin` pixels along each side."""
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


@torch.no_grad()
def validation_psnr(
    network: Reconstructor, images: Sequence[Tensor], recipe: Recipe, device: torch.device
) -> dict[str, float]:
    """Return the mean PSNR in dB over the middle crops of `images`, for each entry of the section's `validation`."""
    crops = [centre_crop(image, recipe.data.validation_crop) for image in images]

    def psnr_of(index: int, level: float) -> float:
        clean = crops[index]
        measurement = recipe.degradation.at(clean, level, torch.Generator().manual_seed(index))
        restored = network.reconstruct(measurement.to(device), STRIDE, TILE_SIZE)
        restored = restored.clamp(-1 if clean.shape[1] == COMPLEX else 0, 1).cpu()
        # A picture smaller than the crop may have been cut to a multiple of the scale.
        clean = clean[..., : restored.shape[-2], : restored.shape[-1]]
        return psnr(*(without_border(image, recipe.data.margin) for image in (restored, clean)))

    # What was compiled for the crops of training would be compiled anew for these.
    with torch.compiler.set_stance("force_eager"):
        return {
            f"{level:g}": fmean(psnr_of(index, level) for index in range(len(crops)))
            for level in recipe.degradation.validation
        }
