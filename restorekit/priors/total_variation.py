"""Trainable total variation: how much a pixel may differ from each of its neighbours, learned for every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restorekit.numerics.finite_differences import finite_differences, finite_differences_adjoint
from restorekit.numerics.level_interpolation import LevelInterpolation

NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows down and columns to the right, to one of each two opposite pixels around one."""
INERTIA = 1e-3
"""How much the image before counts beside its slopes: settles its mean, of which slopes say nothing."""


def shrunk(slopes: Tensor, threshold: Tensor) -> Tensor:
    """The prox of t |u|, u max(0, 1 - t / |u|), with |u| over the channels.

    Args:
        slopes: u, [..., C, H, W].
        threshold: t >= 0, broadcast against the slopes.
    """
    length = slopes.square().sum(-3, keepdim=True).clamp_min(1e-12).sqrt()
    return slopes * (1 - threshold / length).clamp_min(0)


class SplitVariation(nn.Module):
    """One step of split Bregman down total variation, sum_dj w_d |(D_d x)_j|, with learned numbers for every step k:

        v_d = prox of t_k |.| at D_d x + u_d,   u_d <- u_d + m_k (D_d x - v_d)
        z = argmin_z  sum_d w_kd ||D_d z - v_d + u_d||^2 + epsilon ||z - x||^2

    w_kd the weight of direction d, t_k = max(0, theta_k) (level + max(0, n) sigma), m_k the step of the dual, 1 in
    split Bregman; w and theta are stored at knots of the level. z is exact, so that few steps go far.
    Source: the energy is that of Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding,
    table 1; the steps those of Goldstein and Osher, The Split Bregman Method for L1-Regularized Problems, 2009.
    """

    INITIAL_THETA = 1.0
    INITIAL_MEMORY = 1.0
    INITIAL_NOISE_SHARE = 0.2

    def __init__(self, steps: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.interpolate = LevelInterpolation(knots)
        self.log_weight = nn.Parameter(torch.zeros(len(knots), steps, len(NEIGHBOURS)))
        self.theta = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_THETA))
        self.memory = nn.Parameter(torch.full((steps,), self.INITIAL_MEMORY))
        self.noise_share = nn.Parameter(torch.tensor(self.INITIAL_NOISE_SHARE))  # n

    def numbers(self, level: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and thresholds of every step: level and noise [B] -> [K, 4, B, 1, 1, 1] and [K, B, 1, 1, 1]."""
        weights: Tensor = self.interpolate(self.log_weight, level).exp()
        error = level + self.noise_share.clamp_min(0) * noise
        thresholds: Tensor = self.interpolate(self.theta, level).clamp_min(0) * error[:, None]
        return weights.permute(1, 2, 0)[..., None, None, None], thresholds.T[..., None, None, None]

    def forward(
        self, x: Tensor, dual: Tensor, spectra: Tensor, weights: Tensor, threshold: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From x [B, C, H, W] and u [4, B, C, H, W] to z, the next u, and sum_d w_d D_d^T D_d + epsilon in Fourier
        space, [B, 1, H, W].

        spectra: `finite_differences_spectra` of x. weights, threshold, memory: of one step.
        """
        slopes = finite_differences(x, NEIGHBOURS)
        kept = shrunk(slopes + dual, threshold)
        dual = dual + memory * (slopes - kept)
        spectrum = (weights[..., 0] * spectra[:, None]).sum(0)[:, None] + INERTIA
        # z - x, since the image is far larger than what changes.
        missed = finite_differences_adjoint(weights * (kept - dual - slopes), NEIGHBOURS)
        change = torch.fft.irfft2(torch.fft.rfft2(missed) / spectrum[..., : x.shape[-1] // 2 + 1], s=x.shape[-2:])
        return x + change, dual, spectrum
