"""Trainable total variation: how much a pixel may differ from each of its neighbours, learned for every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restorekit.knots import KnotInterpolation

NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows down and columns to the right, to one of each two opposite pixels around one."""


def smoothed_slope(slopes: Tensor, width: Tensor) -> Tensor:
    """The gradient of the Moreau envelope of t |u|: u - prox(u) = u min(1, t / |u|), with |u| over the channels.

    Args:
        slopes: u, [..., C, H, W].
        width: t >= 0, broadcast against the slopes.
    """
    length = slopes.square().sum(-3, keepdim=True).clamp_min(1e-12).sqrt()
    return slopes * (width / length).clamp_max(1)


class TrainableVariation(nn.Module):
    """psi(x) = sum_j sum_d w_d Phi_t(x_j - x_{j+d}) at step k, Phi_t the Moreau envelope of t |u|: total variation
    whose weights w_kd, one for each direction d, and widths t_k = level theta_k, both stored at knots, are learned.

    Pixels beyond the border are those of the opposite side, and all channels of a pixel make one step.
    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 1, section 3.3.
    """

    INITIAL_WEIGHT = 0.1
    INITIAL_THETA = 0.3

    def __init__(self, steps: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.interpolate = KnotInterpolation(knots)
        self.weight = nn.Parameter(torch.full((len(knots), steps, len(NEIGHBOURS)), self.INITIAL_WEIGHT))
        self.theta = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_THETA))

    def numbers(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and widths of every step: levels [B] -> [K, 4, B, 1, 1, 1] and [K, B, 1, 1, 1]."""
        weights: Tensor = self.interpolate(self.weight, level)
        widths: Tensor = self.interpolate(self.theta, level).clamp_min(0) * level[:, None]
        return weights.permute(1, 2, 0)[..., None, None, None], widths.T[..., None, None, None]

    def forward(self, x: Tensor, weights: Tensor, widths: Tensor) -> Tensor:
        """The gradient of psi at x [B, C, H, W]: d psi / d x_j = sum_d w_d (s_d,j - s_d,j-d), s_d,j being
        `smoothed_slope(x_j - x_{j+d})`.

        weights, widths: of one step.
        """
        gradient = torch.zeros_like(x)
        for (down, right), weight in zip(NEIGHBOURS, weights, strict=True):
            slope = weight * smoothed_slope(x - x.roll((-down, -right), (-2, -1)), widths)
            gradient = gradient + slope - slope.roll((down, right), (-2, -1))
        return gradient
