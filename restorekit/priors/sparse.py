"""The sparse prior: a weighted l1 norm on the codes of a patch, its weights learned for every step and noise level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restorekit.numerics.level_interpolation import LevelInterpolation


def soft_threshold(codes: Tensor, threshold: Tensor) -> Tensor:
    """S_l(a) = sign(a) max(|a| - l, 0), the prox of l |a|, for thresholds l >= 0 that broadcast against `codes`.

    `codes` is overwritten where no gradient is wanted.
    """
    if torch.is_grad_enabled():
        return codes - torch.minimum(torch.maximum(codes, -threshold), threshold)
    return codes.sub_(codes.clamp(-threshold, threshold))


class SparsePrior(nn.Module):
    """Psi_k(alpha) = sum_j lambda_kj(sigma) |alpha_j| at step k, lambda_kj(sigma) = sigma max(0, theta_kj(sigma)).

    theta is stored at the knots and interpolated between them. Measuring thresholds in units of sigma makes theta vary
    slowly, so that few knots serve all levels, and lets one learning rate suit all of them.
    Source: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, eq. 3 and section 3.4.
    """

    INITIAL_THETA = 0.2

    def __init__(self, atoms: int, steps: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.interpolate = LevelInterpolation(knots)
        self.theta = nn.Parameter(torch.full((len(knots), steps, atoms), self.INITIAL_THETA))

    def thresholds(self, sigma: Tensor) -> Tensor:
        """Lambda for every step and atom: noise levels [B] in [0, 1] -> [K, B, 1, atoms]."""
        theta: Tensor = self.interpolate(self.theta, sigma).clamp_min(0)
        return (theta * sigma[:, None, None]).transpose(0, 1)[:, :, None, :]
