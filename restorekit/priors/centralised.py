"""Codes that are pulled towards those of similar patches.

The paper here is Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.priors.base import CodePrior, Neighbourhood
from restorekit.priors.sparse import soft_threshold

LEAST_SHARE = 1e-6
"""The least weight of the others in an average: keeps the division finite where no patch is similar."""


def centralised_threshold(codes: Tensor, threshold: Tensor, centre: Tensor, pull: Tensor) -> Tensor:
    """Return the prox of l (|u| + gamma |u - beta|): S_l(S_{l gamma}(z - beta - l sign(beta)) + beta + l sign(beta)).

    Codes are z, [B, N, p]; threshold l >= 0 and pull gamma >= 0 broadcast against them. The centre beta, [B, N, p], is
    the mean of the codes of similar patches (eq. 13). Source: the paper, eq. 12 and proposition 1.
    """
    shift = centre + threshold * centre.sign()
    return soft_threshold(soft_threshold(codes - shift, threshold * pull) + shift, threshold)


class CentralisedPrior(CodePrior):
    """`centralised_threshold` with gamma_k(sigma) for every step, stored at knots."""

    uses_neighbours = True
    INITIAL_PULL = 0.1

    def __init__(self, steps: int, atoms: int, knots: tuple[float, ...]) -> None:
        super().__init__(steps, atoms, knots)
        self.pull = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_PULL))

    @override
    def numbers(self, conditioning: Tensor) -> Tensor:
        """Return gamma of every step, [K, B, 1, 1]."""
        pulls: Tensor = self.interpolate(self.pull, conditioning).clamp_min(0)
        return pulls.T[:, :, None, None]

    @override
    def evidence(self, point: Tensor, codes: Tensor, before: Sequence[Tensor]) -> Sequence[Tensor]:
        if torch.is_grad_enabled():
            return (codes,)
        return ((before[0] if before else torch.empty_like(codes)).copy_(codes),)

    @override
    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        if near is None:
            return soft_threshold(point, threshold)
        centre = near.averages[0] / (1 - near.own).clamp_min(LEAST_SHARE)
        shrunk = centralised_threshold(point, threshold, centre, numbers)
        return shrunk if torch.is_grad_enabled() else point.copy_(shrunk)
