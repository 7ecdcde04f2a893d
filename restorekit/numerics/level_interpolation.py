"""Numbers that depend on the noise level: stored at a few levels (the knots), interpolated linearly between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LevelInterpolation(nn.Module):
    """f(sigma) = sum_n h_n(sigma) f_n with the hat functions h_n of the knots; constant outside them.

    Knots are increasing noise levels in [0, 1]. A single knot makes f a constant. The idea of sharing the dictionaries
    between all noise levels: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models,
    section 3.4.
    """

    knots: Tensor

    def __init__(self, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float32), persistent=False)

    def hats(self, sigma: Tensor) -> Tensor:
        """The weight of each knot at each level: [B] -> [B, n], rows sum to 1."""
        knots = self.knots
        if knots.numel() == 1:
            return torch.ones_like(sigma)[:, None]
        level = sigma.clamp(knots[0], knots[-1])[:, None]
        rising = (level - knots[:-1]) / (knots[1:] - knots[:-1])
        rising = rising.clamp(0, 1)
        one = torch.ones_like(level)
        return torch.cat([one, rising], 1) - torch.cat([rising, torch.zeros_like(level)], 1)

    def forward(self, values: Tensor, sigma: Tensor) -> Tensor:
        """Interpolate `values` [n, ...] at `sigma` [B] -> [B, ...]."""
        # Products are rounded to 16 bits where training asks for that; schedules are stored as logarithms.
        with torch.autocast(sigma.device.type, enabled=False):
            interpolated: Tensor = torch.tensordot(self.hats(sigma), values, 1)
        return interpolated
