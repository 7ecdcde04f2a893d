"""What training makes small, for each kind of network."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from restorekit.errors import TrainingError
from restorekit.models import AnyNetwork, PatchNetwork, ReconstructionNetwork, Recording
from restorekit.train.degradation import LEVELS, Observation
from restorekit.train.recipe import LOGARITHMIC, Recipe

REFERENCE_LEVEL = 25 / LEVELS
NEGLIGIBLE = 1e-4
"""A mean squared error of 40 dB: flat crops, easily better than that, then do not outweigh all others."""


class Objective(nn.Module, ABC):
    """mean_b (level_b / 25)^-balance e_b, with e_b the squared error of crop b as its kind of network counts it.

    The factor of the level, squared error growing about like level^balance, lets each level count alike. Or else, with
    the loss "logarithmic", mean_b log(e_b + 1e-4), which lets each crop count alike, as mean PSNR does.
    """

    def __init__(self, loss: str, balance: float) -> None:
        super().__init__()
        self.loss = loss
        self.balance = balance

    def forward(
        self, observed: Observation | Recording, clean: Tensor, stride: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The loss, and each crop's mean squared error [B]; clean is [B, C, H, W]."""
        errors = self.errors(observed, clean, stride, generator)
        if self.loss == LOGARITHMIC:
            return (errors + NEGLIGIBLE).log().mean(), errors.detach()
        return (errors * (observed.level / REFERENCE_LEVEL) ** -self.balance).mean(), errors.detach()

    @abstractmethod
    def errors(
        self, observed: Observation | Recording, clean: Tensor, stride: int, generator: torch.Generator
    ) -> Tensor:
        """Mean squared error of each crop, [B]; `generator` is for what the network draws at random."""

    @abstractmethod
    def restored(self, observed: Observation | Recording, stride: int, tile_size: int) -> Tensor:
        """The restored images, [B, C, H, W]."""

    @property
    @abstractmethod
    def compilable(self) -> nn.Module:
        """The module that is worth compiling."""


class PatchObjective(Objective):
    """e_b = sum_i n_i (x_hat_i - x_i)^2 / sum_i n_i, n_i the coverage of pixel i.

    Weighing by the coverage makes up for the border of a crop, which fewer patches cover: Lecouat, Ponce and Mairal,
    Fully Trainable and Interpretable Non-Local Sparse Models, section 3.6.
    """

    def __init__(self, network: PatchNetwork, loss: str, balance: float) -> None:
        super().__init__(loss, balance)
        self.network = network

    def errors(
        self, observed: Observation | Recording, clean: Tensor, stride: int, generator: torch.Generator
    ) -> Tensor:
        """See the class."""
        observed = _observation(observed)
        sums, covered = self.network(observed.images, observed.level, stride, mask=observed.mask)
        squared = (sums / covered.clamp_min(1) - clean).square() * covered
        errors: Tensor = squared.mean((1, 2, 3)) / covered.mean()
        return errors

    def restored(self, observed: Observation | Recording, stride: int, tile_size: int) -> Tensor:
        """The quotient of sums and coverage."""
        observed = _observation(observed)
        sums, covered = self.network(observed.images, observed.level, stride, tile_size, mask=observed.mask)
        restored: Tensor = sums / covered
        return restored

    @property
    def compilable(self) -> nn.Module:
        """All of it."""
        return self


class ReconstructionObjective(Objective):
    """e_b = mean_i (x_hat_i - x_i)^2 over the pixels i that are `margin` or more from the border of the crop.

    Operators take a crop to go on periodically, and its seams are nothing that a photograph has. Where a recording is
    of the top left of the crop, that is the crop. Where a network names several images to be fitted, e_b is the mean
    over them.
    """

    def __init__(self, network: ReconstructionNetwork, loss: str, balance: float, margin: int) -> None:
        super().__init__(loss, balance)
        self.network = network
        self.margin = margin

    def errors(
        self, observed: Observation | Recording, clean: Tensor, stride: int, generator: torch.Generator
    ) -> Tensor:
        """See the class."""
        fitted = self.network.fitted(_recording(observed), stride, generator)
        height, width = fitted[0].shape[-2:]
        inside = without_border(clean[..., :height, :width], self.margin)
        errors = [(without_border(x, self.margin) - inside).square().mean((1, 2, 3)) for x in fitted]
        return torch.stack(errors).mean(0)

    def restored(self, observed: Observation | Recording, stride: int, tile_size: int) -> Tensor:
        """What the network makes of a recording."""
        restored: Tensor = self.network(_recording(observed), stride, tile_size)
        return restored

    @property
    def compilable(self) -> nn.Module:
        """The step that is repeated."""
        return self.network.repeated


def objective_of(network: AnyNetwork, recipe: Recipe) -> Objective:
    """What a recipe makes small, for a network's kind."""
    loss, balance = recipe.loss, recipe.degradation.balance
    if isinstance(network, PatchNetwork):
        return PatchObjective(network, loss, balance)
    return ReconstructionObjective(network, loss, balance, recipe.data.margin)


def without_border(images: Tensor, margin: int) -> Tensor:
    """Images [B, C, H, W] without the `margin` pixels along each side."""
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]


def _observation(observed: Observation | Recording) -> Observation:
    if not isinstance(observed, Observation):
        raise TrainingError("the network restores patches of images, and the recipe's degradation makes recordings")
    return observed


def _recording(observed: Observation | Recording) -> Recording:
    if not isinstance(observed, Recording):
        raise TrainingError("the network reconstructs from recordings, and the recipe's degradation makes none")
    return observed
