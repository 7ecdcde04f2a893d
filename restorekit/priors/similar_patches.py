"""How much patches of the current estimate resemble each other: the learned similarities of the non-local priors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.knots import KnotInterpolation
from restorekit.priors.similarity import Grid, average_over_similar, find_similar, squared_distances

RESIDUAL_NOISE = 0.35
"""How much of the noise an estimate halfway still has: equal patches then start out about 1 / e alike."""


@dataclass(frozen=True)
class Similarities:
    """Sigma_ij for the peers j of each patch i, [B, N, M], `peers` being their indices; Sigma_ii = 1.

    own: a_ii = 1 / sum_l Sigma_il, [B, N, 1].
    """

    peers: Tensor
    values: Tensor
    own: Tensor

    def average(self, values: Tensor, rows: slice) -> Tensor:
        """sum_{j != i} a_ij v_j of the patches i in `rows`, a_ij = Sigma_ij / sum_l Sigma_il: [B, N, p], [B, n, p]."""
        return average_over_similar(values, self.peers[:, rows], self.values[:, rows] * self.own[:, rows])


class SimilarPatches(nn.Module):
    """Sigma_ij = exp(-beta(sigma) ||diag(kappa)(x_i - x_j)||^2) over the M peers of each patch, averaged as it goes:
    Sigma <- (1 - nu_r) Sigma + nu_r Sigma_new at the r-th refresh.

    x_i are centred patches of the current estimate; the peers are searched for once. kappa, nu and the scale beta, at
    knots of sigma, are learned; the estimate counts as given.
    Source: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, algorithm 1, eq. 14.
    """

    def __init__(self, dimension: int, peers: int, refreshes: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.count = peers
        self.kappa = nn.Parameter(torch.ones(dimension))
        self.nu = nn.Parameter(torch.ones(refreshes))  # A logit.
        self.scale = nn.Parameter(torch.zeros(len(knots)))  # A logarithm.
        self.interpolate = KnotInterpolation(knots)

    def update(
        self, before: Similarities | None, patches: Tensor, sigma: Tensor, grid: Grid, refresh: int
    ) -> Similarities:
        """The similarities of centred patches [B, N, m] of a new estimate, averaged with those before."""
        features = patches.detach() * self.kappa
        peers = find_similar(features.detach(), grid, self.count) if before is None else before.peers
        noise = 2 * features.shape[2] * (RESIDUAL_NOISE * sigma).square()
        steepness = self.interpolate(self.scale, sigma).exp() / noise
        fresh = torch.exp(-steepness[:, None, None] * squared_distances(features, peers))
        values = fresh if before is None else torch.lerp(before.values, fresh, self.nu[refresh].sigmoid())
        return Similarities(peers, values, 1 / (1 + values.sum(2, keepdim=True)))
