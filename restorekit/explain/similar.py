"""The patches that a patch was restored with."""

from __future__ import annotations

from dataclasses import dataclass

from restorekit.explain.trajectory import Trajectory


@dataclass(frozen=True)
class Peer:
    """A similar patch j. index: its place in the grid. share: a_ij = Sigma_ij / sum_l Sigma_il, of all that counts."""

    index: int
    share: float


def own_share(trajectory: Trajectory, patch: int) -> float:
    """a_ii, how much a patch counts in its own average: 1 where it is restored by itself."""
    similar = trajectory.similarities
    return 1.0 if similar is None else float(similar.own[0, patch, 0])


def peers_of(trajectory: Trajectory, patch: int) -> list[Peer]:
    """The similar patches of a patch, the most similar first, each once; none where it is restored by itself."""
    similar = trajectory.similarities
    if similar is None:
        return []
    shares: dict[int, float] = {}
    weights = similar.values[0, patch] * similar.own[0, patch]
    # In a narrow window a patch may have been found more than once.
    for index, weight in zip(similar.peers[0, patch].tolist(), weights.tolist(), strict=True):
        shares[index] = shares.get(index, 0.0) + weight
    return [Peer(index, share) for index, share in sorted(shares.items(), key=lambda item: -item[1])]
