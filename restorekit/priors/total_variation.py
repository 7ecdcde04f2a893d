"""Trainable total variation: how much a pixel may differ from each of its neighbours, learned for every step."""

import torch
from torch import Tensor, nn

from restorekit.numerics import finite_differences as fd
from restorekit.numerics.level_interpolation import LevelInterpolation

NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows down and columns to the right, to one of each two opposite pixels around one."""
INERTIA = 1e-3
"""Weight of the previous image beside its differences: fixes its mean, which they do not determine."""


def shrunk(differences: Tensor, threshold: Tensor) -> Tensor:
    """Return the prox of t |u|, u max(0, 1 - t / |u|), with |u| over the channels.

    Differences u are [..., C, H, W]; the threshold t >= 0 broadcasts against them.
    """
    length = differences.square().sum(-3, keepdim=True).clamp_min(1e-12).sqrt()
    return differences * (1 - threshold / length).clamp_min(0)


class SplitVariation(nn.Module):
    """One step of split Bregman down total variation, sum_dj w_d |(D_d x)_j|, with learned numbers for every step k:

        v_d = prox of t_k |.| at D_d x + u_d,   u_d <- u_d + m_k (D_d x - v_d)
        z = argmin_z  sum_d w_kd ||D_d z - v_d + u_d||^2 + epsilon ||z - x||^2

    w_kd the weight of direction d, t_k = max(0, theta_k) (c + max(0, n) sigma) with the conditioning c, m_k the step of
    the dual, 1 in split Bregman; w and theta are stored at knots of c. z is exact, so that few steps go far.
    Source: the energy is that of Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding,
    table 1; the steps those of Goldstein and Osher, The Split Bregman Method for L1-Regularized Problems, 2009.
    """

    INITIAL_NOISE_SHARE = 0.2

    def __init__(self, steps: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.interpolate = LevelInterpolation(knots)
        self.log_weight = nn.Parameter(torch.zeros(len(knots), steps, len(NEIGHBOURS)))
        self.theta = nn.Parameter(torch.ones(len(knots), steps))
        self.memory = nn.Parameter(torch.ones(steps))  # m
        self.noise_share = nn.Parameter(torch.tensor(self.INITIAL_NOISE_SHARE))  # n

    def numbers(self, conditioning: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and thresholds of every step: [B], [B] -> [K, 4, B, 1, 1, 1] and [K, B, 1, 1, 1]."""
        weights: Tensor = self.interpolate(self.log_weight, conditioning).exp()
        error = conditioning + self.noise_share.clamp_min(0) * sigma
        thresholds: Tensor = self.interpolate(self.theta, conditioning).clamp_min(0) * error[:, None]
        return weights.permute(1, 2, 0)[..., None, None, None], thresholds.T[..., None, None, None]

    def forward(
        self, x: Tensor, dual: Tensor, spectra: Tensor, weights: Tensor, threshold: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return z, the next u, and sum_d w_d D_d^T D_d + epsilon in Fourier space, [B, 1, H, W].

        From x [B, C, H, W], u [4, B, C, H, W], the `finite_differences_spectra` of x, and the numbers of the step.
        """
        differences = fd.finite_differences(x, NEIGHBOURS)
        kept = shrunk(differences + dual, threshold)
        dual = dual + memory * (differences - kept)
        spectrum = (weights[..., 0] * spectra[:, None]).sum(0)[:, None] + INERTIA
        # Solved for z - x, because the image is far larger than its change.
        missed = fd.finite_differences_adjoint(weights * (kept - dual - differences), NEIGHBOURS)
        change = torch.fft.irfft2(torch.fft.rfft2(missed) / spectrum[..., : x.shape[-1] // 2 + 1], s=x.shape[-2:])
        return x + change, dual, spectrum
