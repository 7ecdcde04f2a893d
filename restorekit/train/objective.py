"""The training loss."""

from __future__ import annotations

from torch import Tensor, nn

from restorekit.models import PatchNetwork
from restorekit.train.degradation import LEVELS

REFERENCE_LEVEL = 25 / LEVELS


class Objective(nn.Module):
    """mean_b (level_b / 25)^-balance * sum_i n_i (x_hat_i - x_i)^2 / sum_i n_i, n_i the coverage of pixel i.

    Weighing by the coverage makes up for the border of a crop, which fewer patches cover: Lecouat, Ponce and Mairal,
    Fully Trainable and Interpretable Non-Local Sparse Models, section 3.6. The factor of the level, squared error
    growing about like level^balance, lets each level count alike.
    """

    def __init__(self, network: PatchNetwork, balance: float) -> None:
        super().__init__()
        self.network = network
        self.balance = balance

    def forward(
        self, images: Tensor, mask: Tensor | None, clean: Tensor, level: Tensor, stride: int
    ) -> tuple[Tensor, Tensor]:
        """The loss, and each crop's mean squared error [B]; images [B, C, H, W], levels [B] in [0, 1]."""
        sums, covered = self.network(images, level, stride, mask=mask)
        squared = (sums / covered.clamp_min(1) - clean).square() * covered
        errors = squared.mean((1, 2, 3)) / covered.mean()
        return (errors * (level / REFERENCE_LEVEL) ** -self.balance).mean(), errors.detach()
