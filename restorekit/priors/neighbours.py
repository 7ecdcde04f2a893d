"""Similar patches of an image, how similar they are, and averages over them.

Patches are rows of [B, N, d], the points of a `Grid` in row-major order. With gradients the similarities are a dense
N x N matrix, which is fast for the few patches of a training crop; without, only neighbours are touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.priors.base import Neighbourhood

BLOCK, MARGIN = 16, 12
"""Neighbours are searched for together for blocks of 16 x 16 patches, among the patches up to 12 pixels around the
block, every second one where patches are a pixel apart."""
SMALL = 1024
"""Up to this number of patches, all of them are candidates."""
CHUNK = 128
"""Patches whose neighbours are compared together, so that they stay in the cache."""
PLACE_BITS = 0x7FF
"""Enough to number the candidates of a block: at most `SMALL`."""
FAR = 1e30
RESIDUAL_NOISE = 0.35
"""The share of the noise left in an estimate halfway: equal patches then start out about 1 / e alike."""


@dataclass(frozen=True)
class Grid:
    """`rows` x `cols` patches, `stride` pixels apart."""

    rows: int
    cols: int
    stride: int


def find_neighbours(features: Tensor, grid: Grid, count: int) -> Tensor:
    """Return, for each patch i, patches j != i in the window around it with small ||f_i - f_j||^2, f being [B, N, d].

    The indices are [B, N, count], or [B, N, N - 1] in a grid of fewer patches, and some may repeat in a narrow one. The
    candidates are dealt to `count` piles in turn, and the nearest of each pile is taken: nearly as good as the `count`
    nearest of all, and several times as fast.
    """
    patches = grid.rows * grid.cols
    index = torch.arange(patches, device=features.device)
    if count >= patches - 1:
        return ((index[:, None] + index[1:]) % patches).expand(features.shape[0], -1, -1)
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
    """Return, for the patches `own`, the nearest of each of `count` piles of `candidates`: [B, len(own), count]."""
    height = max(1, len(candidates) // count)
    # A narrow window may have fewer candidates than piles: some then appear twice, or the patch itself does.
    dealt = torch.arange(height * count, device=own.device).view(height, count).T.flatten() % len(candidates)
    candidates = candidates[dealt]
    others = features[:, candidates]
    distances = torch.baddbmm(norms[:, own, None] + norms[:, None, candidates], features[:, own], others.mT, alpha=-2)
    distances.masked_fill_(own[:, None] == candidates, FAR)
    # Non-negative floats are ordered as the integers of the same bits. With its place in the lowest bits each distance
    # is only a little less precise, and the minimum, which is much faster to find than its place, holds both.
    keys = distances.clamp_min_(0).view(torch.int32).bitwise_and_(~PLACE_BITS)
    keys.bitwise_or_(torch.arange(len(candidates), dtype=torch.int32, device=own.device))
    place = keys.view(*keys.shape[:2], count, height).amin(3).bitwise_and_(PLACE_BITS)
    return candidates[place.long()]


def squared_distances(features: Tensor, neighbours: Tensor) -> Tensor:
    """Return ||f_i - f_j||^2 for the neighbours j of each patch i: [B, N, d], [B, N, M] -> [B, N, M]."""
    if torch.is_grad_enabled():
        norms = features.square().sum(2)
        dense = norms[:, :, None] + norms[:, None] - 2 * torch.matmul(features, features.mT)
        return dense.gather(2, neighbours).clamp_min(0)
    distances = features.new_empty(neighbours.shape)
    for own, indices, found in zip(features, neighbours, distances, strict=True):
        for start in range(0, len(own), CHUNK):
            rows = slice(start, start + CHUNK)
            near = F.embedding(indices[rows], own)
            found[rows] = near.sub_(own[rows, None]).square_().sum(2)
    return distances


def average_over_neighbours(values: Tensor, neighbours: Tensor, weights: Tensor) -> Tensor:
    """Return sum_j a_ij v_j over the neighbours j of n patches i, [B, n, p].

    v of all patches is [B, N, p]; the neighbours of the n patches and their weights a_ij are [B, n, M].
    """
    batch, patches, _ = values.shape
    if torch.is_grad_enabled():
        dense = values.new_zeros(batch, neighbours.shape[1], patches).scatter(2, neighbours, weights)
        return torch.matmul(dense, values)
    if neighbours.shape[2] == 0:
        return values.new_zeros(batch, neighbours.shape[1], values.shape[2])
    # One bag a patch, of the patches of all images in a row.
    rows = (neighbours + patches * torch.arange(batch, device=neighbours.device)[:, None, None]).flatten(0, 1)
    sums = F.embedding_bag(rows, values.flatten(0, 1), mode="sum", per_sample_weights=weights.flatten(0, 1))
    return sums.view(batch, -1, values.shape[2])


@dataclass(frozen=True)
class Similarities:
    """Sigma_ij for the neighbours j of each patch i, [B, N, M], `neighbours` being their indices; Sigma_ii = 1.

    own: a_ii = 1 / sum_l Sigma_il, [B, N, 1].
    """

    neighbours: Tensor
    values: Tensor
    own: Tensor

    def near(self, evidence: Sequence[Tensor], rows: slice) -> Neighbourhood:
        """Return sum_{j != i} a_ij v_j, a_ij = a_ii Sigma_ij, of the patches i in `rows` for each v, [B, N, p]."""
        neighbours, own = self.neighbours[:, rows], self.own[:, rows]
        weights = self.values[:, rows] * own
        return Neighbourhood([average_over_neighbours(values, neighbours, weights) for values in evidence], own)


class Neighbours(nn.Module):
    """Sigma_ij = exp(-beta(sigma) ||diag(kappa)(x_i - x_j)||^2) over M neighbours of each patch, a running average:
    Sigma <- (1 - nu_r) Sigma + nu_r Sigma_new at the r-th refresh.

    x_i are centred patches of the current estimate, without gradients; the neighbours are searched for once. kappa, nu
    and the scale beta, stored at knots, are learned.
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
        """Return the similarities of centred patches [B, N, m] of a new estimate, averaged with those before."""
        features = patches.detach() * self.kappa
        neighbours = find_neighbours(features.detach(), grid, self.count) if before is None else before.neighbours
        noise = 2 * features.shape[2] * (RESIDUAL_NOISE * sigma).square()
        steepness = self.interpolate(self.scale, sigma).exp() / noise
        fresh = torch.exp(-steepness[:, None, None] * squared_distances(features, neighbours))
        values = fresh if before is None else torch.lerp(before.values, fresh, self.nu[refresh].sigmoid())
        return Similarities(neighbours, values, 1 / (1 + values.sum(2, keepdim=True)))
