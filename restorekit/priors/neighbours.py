"""Which patches of an image are alike, how much, and averages over them.

Patches are rows of [B, N, d], the points of a `Grid` in row-major order. Where gradients are wanted the similarities
are a dense N x N matrix, which is fast for the few patches of a training crop; elsewhere only neighbours are touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.numerics.level_interpolation import LevelInterpolation

BLOCK = 16
"""Peers are searched for together for blocks of 16 x 16 patches ..."""
MARGIN = 12
"""... among the patches up to 12 pixels around the block, every second one where patches are a pixel apart."""
SMALL = 1024
"""Where there are no more patches than this, all of them are candidates."""
CHUNK = 128
"""Patches whose neighbours are looked at together, so that they stay in the cache."""
PLACE_BITS = 0x7FF
"""Enough to number the candidates of a block: at most `SMALL`."""
FAR = 1e30


@dataclass(frozen=True)
class Grid:
    """`rows` x `cols` patches, `stride` pixels apart."""

    rows: int
    cols: int
    stride: int


def find_neighbours(features: Tensor, grid: Grid, count: int) -> Tensor:
    """For each patch i, patches j != i in the window around it with small ||f_i - f_j||^2.

    The candidates are dealt out to `count` piles in turn and the nearest of each pile is taken: nearly as good as the
    `count` nearest of all, and several times as fast to find.

    Args:
        features: what to compare, [B, N, d].
        grid: where the patches lie.
        count: how many to find.

    Returns:
        Their indices, [B, N, count], or [B, N, N - 1] in a grid of fewer patches; some may repeat in a narrow one.
    """
    patches = grid.rows * grid.cols
    index = torch.arange(patches, device=features.device)
    if count >= patches - 1:
        everyone_else = (index[:, None] + torch.arange(1, patches, device=features.device)) % patches
        return everyone_else.expand(features.shape[0], -1, -1)
    norms = features.square().sum(2)
    if patches <= SMALL:
        return _nearest(features, norms, index, index, count)
    found = torch.empty(features.shape[0], patches, count, dtype=torch.long, device=features.device)
    index = index.view(grid.rows, grid.cols)
    margin, step = MARGIN // grid.stride, 2 if grid.stride == 1 else 1
    for top in range(0, grid.rows, BLOCK):
        rows = slice(max(0, top - margin), top + BLOCK + margin, step)
        for left in range(0, grid.cols, BLOCK):
            own = index[top : top + BLOCK, left : left + BLOCK].reshape(-1)
            cols = slice(max(0, left - margin), left + BLOCK + margin, step)
            found[:, own] = _nearest(features, norms, own, index[rows, cols].reshape(-1), count)
    return found


def _nearest(features: Tensor, norms: Tensor, own: Tensor, candidates: Tensor, count: int) -> Tensor:
    """For the patches `own`, the nearest of each of `count` piles of `candidates`: [B, len(own), count]."""
    height = max(1, len(candidates) // count)
    # In a narrow window there may be fewer candidates than piles: some then appear twice, or the patch itself does.
    dealt = torch.arange(height * count, device=own.device).view(height, count).T.flatten() % len(candidates)
    candidates = candidates[dealt]
    others = features[:, candidates]
    distances = torch.baddbmm(norms[:, own, None] + norms[:, None, candidates], features[:, own], others.mT, alpha=-2)
    distances.masked_fill_(own[:, None] == candidates, FAR)
    # Non-negative floats are ordered as the integers of the same bits. With its place in the lowest bits each distance
    # is only a little less precise, and the minimum, which is much faster to find than where it is, tells both.
    keys = distances.clamp_min_(0).view(torch.int32).bitwise_and_(~PLACE_BITS)
    keys.bitwise_or_(torch.arange(len(candidates), dtype=torch.int32, device=own.device))
    place = keys.view(*keys.shape[:2], count, height).amin(3).bitwise_and_(PLACE_BITS)
    return candidates[place.long()]


def squared_distances(features: Tensor, neighbours: Tensor) -> Tensor:
    """||f_i - f_j||^2 for the neighbours j of each patch i: [B, N, d], [B, N, M] -> [B, N, M]."""
    if torch.is_grad_enabled():
        norms = features.square().sum(2)
        distances = norms[:, :, None] + norms[:, None] - 2 * torch.matmul(features, features.mT)
        return distances.gather(2, neighbours).clamp_min(0)
    return torch.stack([_squared_distances(*image) for image in zip(features, neighbours, strict=True)])


def _squared_distances(features: Tensor, neighbours: Tensor) -> Tensor:
    distances = features.new_empty(neighbours.shape)
    for start in range(0, len(features), CHUNK):
        rows = slice(start, start + CHUNK)
        near = F.embedding(neighbours[rows], features)
        distances[rows] = near.sub_(features[rows, None]).square_().sum(2)
    return distances


def average_over_neighbours(values: Tensor, neighbours: Tensor, weights: Tensor) -> Tensor:
    """sum_j a_ij v_j over the neighbours j of some patches i.

    Args:
        values: v of all patches, [B, N, p].
        neighbours: of the n patches in question, [B, n, M].
        weights: a_ij, [B, n, M].

    Returns:
        The averages, [B, n, p].
    """
    batch, patches, _ = values.shape
    if torch.is_grad_enabled():
        dense = values.new_zeros(batch, neighbours.shape[1], patches).scatter(2, neighbours, weights)
        return torch.matmul(dense, values)
    if neighbours.shape[2] == 0:
        return values.new_zeros(batch, neighbours.shape[1], values.shape[2])
    # One bag a patch, of the patches of all images in a row.
    rows = neighbours + patches * torch.arange(batch, device=neighbours.device)[:, None, None]
    bags, shares = rows.flatten(0, 1), weights.flatten(0, 1)
    return F.embedding_bag(bags, values.flatten(0, 1), mode="sum", per_sample_weights=shares).view(
        batch, -1, values.shape[2]
    )


RESIDUAL_NOISE = 0.35
"""How much of the noise an estimate halfway still has: equal patches then start out about 1 / e alike."""


@dataclass(frozen=True)
class Similarities:
    """Sigma_ij for the neighbours j of each patch i, [B, N, M], `neighbours` being their indices; Sigma_ii = 1.

    own: a_ii = 1 / sum_l Sigma_il, [B, N, 1].
    """

    neighbours: Tensor
    values: Tensor
    own: Tensor

    def average(self, values: Tensor, rows: slice) -> Tensor:
        """sum_{j != i} a_ij v_j of the patches i in `rows`, a_ij = Sigma_ij / sum_l Sigma_il: [B, N, p], [B, n, p]."""
        return average_over_neighbours(values, self.neighbours[:, rows], self.values[:, rows] * self.own[:, rows])


class Neighbours(nn.Module):
    """Sigma_ij = exp(-beta(sigma) ||diag(kappa)(x_i - x_j)||^2) over the M neighbours of each patch, averaged as it goes:
    Sigma <- (1 - nu_r) Sigma + nu_r Sigma_new at the r-th refresh.

    x_i are centred patches of the current estimate; the neighbours are searched for once. kappa, nu and the scale beta, at
    knots of sigma, are learned; the estimate counts as given.
    Source: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, algorithm 1, eq. 14.
    """

    def __init__(self, dimension: int, neighbours: int, refreshes: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.count = neighbours
        self.kappa = nn.Parameter(torch.ones(dimension))
        self.nu = nn.Parameter(torch.ones(refreshes))  # A logit.
        self.scale = nn.Parameter(torch.zeros(len(knots)))  # A logarithm.
        self.interpolate = LevelInterpolation(knots)

    def update(
        self, before: Similarities | None, patches: Tensor, sigma: Tensor, grid: Grid, refresh: int
    ) -> Similarities:
        """The similarities of centred patches [B, N, m] of a new estimate, averaged with those before."""
        features = patches.detach() * self.kappa
        neighbours = find_neighbours(features.detach(), grid, self.count) if before is None else before.neighbours
        noise = 2 * features.shape[2] * (RESIDUAL_NOISE * sigma).square()
        steepness = self.interpolate(self.scale, sigma).exp() / noise
        fresh = torch.exp(-steepness[:, None, None] * squared_distances(features, neighbours))
        values = fresh if before is None else torch.lerp(before.values, fresh, self.nu[refresh].sigmoid())
        return Similarities(neighbours, values, 1 / (1 + values.sum(2, keepdim=True)))
