"""Numbers that depend on the conditioning: stored at a few values of it (the knots), interpolated between them."""

import torch
from torch import Tensor, nn


class LevelInterpolation(nn.Module):
    """f(sigma) = sum_n h_n(sigma) f_n with the hat functions h_n of the knots; constant outside them.

    Knots are increasing values of the conditioning in [0, 1]. A single knot makes f a constant. Sharing dictionaries
    between all noise levels is an idea of Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse
    Models, section 3.4.
    """

    knots: Tensor

    def __init__(self, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float32), persistent=False)

    def hats(self, conditioning: Tensor) -> Tensor:
        """Return the weight of each knot, [B] -> [B, n]; rows sum to 1."""
        knots = self.knots
        if knots.numel() == 1:
            return torch.ones_like(conditioning)[:, None]
        place = conditioning.clamp(knots[0], knots[-1])[:, None]
        rising = ((place - knots[:-1]) / (knots[1:] - knots[:-1])).clamp(0, 1)
        return torch.cat([torch.ones_like(place), rising], 1) - torch.cat([rising, torch.zeros_like(place)], 1)

    def forward(self, values: Tensor, conditioning: Tensor) -> Tensor:
        """Interpolate `values` [n, ...] at each conditioning [B] -> [B, ...]."""
        # Autocast would round the products to 16 bits, but schedules are stored as logarithms.
        with torch.autocast(conditioning.device.type, enabled=False):
            interpolated: Tensor = torch.tensordot(self.hats(conditioning), values, 1)
        return interpolated
