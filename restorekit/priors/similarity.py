"""Which patches of an image are alike, how much, and averages over them.

Patches are rows of [B, N, d], the points of a `Grid` in row-major order. Where gradients are wanted the similarities
are a dense N x N matrix, which is fast for the few patches of a training crop; elsewhere only peers are touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
"""Peers are searched for together for blocks of 16 x 16 patches ..."""
MARGIN = 12
"""... among the patches up to 12 pixels around the block, every second one where patches are a pixel apart."""
SMALL = 1024
"""Where there are no more patches than this, all of them are candidates."""
CHUNK = 128
"""Patches whose peers are looked at together, so that they stay in the cache."""
PLACE_BITS = 0x7FF
"""Enough to number the candidates of a block: at most `SMALL`."""
FAR = 1e30


@dataclass(frozen=True)
class Grid:
    """`rows` x `cols` patches, `stride` pixels apart."""

    rows: int
    cols: int
    stride: int


def find_similar(features: Tensor, grid: Grid, count: int) -> Tensor:
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


def squared_distances(features: Tensor, peers: Tensor) -> Tensor:
    """||f_i - f_j||^2 for the peers j of each patch i: [B, N, d], [B, N, M] -> [B, N, M]."""
    if torch.is_grad_enabled():
        norms = features.square().sum(2)
        distances = norms[:, :, None] + norms[:, None] - 2 * torch.matmul(features, features.mT)
        return distances.gather(2, peers).clamp_min(0)
    return torch.stack([_squared_distances(*image) for image in zip(features, peers, strict=True)])


def _squared_distances(features: Tensor, peers: Tensor) -> Tensor:
    distances = features.new_empty(peers.shape)
    for start in range(0, len(features), CHUNK):
        rows = slice(start, start + CHUNK)
        near = F.embedding(peers[rows], features)
        distances[rows] = near.sub_(features[rows, None]).square_().sum(2)
    return distances


def average_over_similar(values: Tensor, peers: Tensor, weights: Tensor) -> Tensor:
    """sum_j a_ij v_j over the peers j of some patches i.

    Args:
        values: v of all patches, [B, N, p].
        peers: of the n patches in question, [B, n, M].
        weights: a_ij, [B, n, M].

    Returns:
        The averages, [B, n, p].
    """
    batch, patches, _ = values.shape
    if torch.is_grad_enabled():
        dense = values.new_zeros(batch, peers.shape[1], patches).scatter(2, peers, weights)
        return torch.matmul(dense, values)
    if peers.shape[2] == 0:
        return values.new_zeros(batch, peers.shape[1], values.shape[2])
    # One bag a patch, of the patches of all images in a row.
    rows = peers + patches * torch.arange(batch, device=peers.device)[:, None, None]
    bags, shares = rows.flatten(0, 1), weights.flatten(0, 1)
    return F.embedding_bag(bags, values.flatten(0, 1), mode="sum", per_sample_weights=shares).view(
        batch, -1, values.shape[2]
    )
