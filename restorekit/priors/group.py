"""Groups of similar patches that share their atoms.

The paper here is Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models; the pull is an
addition to it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.priors.base import CodePrior, Neighbourhood
from restorekit.priors.sparse import soft_threshold

FLOOR = 1e-8
"""The least energy: keeps the shrinkage and its gradient finite at zero."""


def group_threshold(codes: Tensor, threshold: Tensor, similar: Tensor, own: Tensor, share: Tensor) -> Tensor:
    """Return max(0, 1 - l / sqrt(e_i)) z_i, e_i = (1 - eta) z_i^2 + eta (a_ii z_i^2 + sum_{j != i} a_ij z_j^2).

    Codes are z, [B, N, p], overwritten without gradients; threshold l >= 0 and share eta broadcast against them;
    similar is sum_{j != i} a_ij z_j^2, [B, N, p], possibly of an earlier step; own is a_ii, [B, N, 1].

    The shrinkage of a group lasso whose groups are soft: a coefficient survives where similar patches have it too,
    whatever its own strength. For eta = 1 and a_ij = Sigma_ij / sum_l Sigma_il it is the paper's eq. 11 (the relaxation
    of lemma 1), for eta = 0 soft thresholding.
    """
    if torch.is_grad_enabled():
        energy = (1 - share * (1 - own)) * codes.square() + share * similar
        return codes * (1 - threshold * torch.rsqrt(energy.clamp_min(FLOOR))).clamp_min(0)
    energy = (share * similar).addcmul_(codes, codes * (1 - share * (1 - own))).clamp_min_(FLOOR)
    factor = torch.addcmul(codes.new_ones(()), energy.rsqrt_(), threshold, value=-1, out=energy)
    return codes.mul_(factor.clamp_min_(0))


class GroupPrior(CodePrior):
    """`group_threshold` of z_i + c_k(sigma) sum_{j != i} a_ij (z_j - z_i), with eta_k(sigma); both stored at knots.

    A share eta of the evidence of similar patches, and a pull c towards their mean, for every step. The pull is a
    quadratic relative of the centralised prior's; c = 0 leaves the paper's model.
    """

    uses_neighbours = True
    INITIAL_SHARE = 0.2
    INITIAL_PULL = 0.03

    def __init__(self, steps: int, atoms: int, knots: tuple[float, ...]) -> None:
        super().__init__(steps, atoms, knots)
        self.share = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_SHARE))
        self.pull = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_PULL))

    @override
    def numbers(self, conditioning: Tensor) -> Tensor:
        """Return eta and c of every step, [K, 2, B, 1, 1]."""
        both = torch.stack([self.interpolate(values, conditioning) for values in (self.share, self.pull)], 1)
        return both.permute(2, 1, 0)[..., None, None]

    @override
    def evidence(self, point: Tensor, codes: Tensor, before: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the energies z^2, and z itself."""
        if torch.is_grad_enabled():
            return point.square(), point
        energies, copies = before or (torch.empty_like(point), torch.empty_like(point))
        return torch.square(point, out=energies), copies.copy_(point)

    @override
    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        if near is None:
            return soft_threshold(point, threshold)
        (energy, mean), (share, pull), own = near.averages, numbers, near.own
        if torch.is_grad_enabled():
            point = point + pull * (mean - (1 - own) * point)
        else:
            point.mul_(1 - pull * (1 - own)).addcmul_(mean, pull)
        return group_threshold(point, threshold, energy, own, share)
