"""The centralised prior: the codes of a patch are drawn to the mean of the codes of similar patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.priors.sparse import soft_threshold

LEAST_SHARE = 1e-6
"""Of the others in an average: keeps the division finite where nothing is similar."""


def centralised_threshold(codes: Tensor, threshold: Tensor, centre: Tensor, pull: Tensor) -> Tensor:
    """The prox of l (|u| + gamma |u - beta|): S_l(S_{l gamma}(z - beta - l sign(beta)) + beta + l sign(beta)).

    Source: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, eq. 12 and
    proposition 1.

    Args:
        codes: z, [B, N, p].
        threshold: l >= 0, broadcast against the codes.
        centre: beta, the mean of the codes of similar patches (eq. 13), [B, N, p].
        pull: gamma >= 0, broadcast against the codes.
    """
    shift = centre + threshold * centre.sign()
    return soft_threshold(soft_threshold(codes - shift, threshold * pull) + shift, threshold)


class CentralisedPrior(nn.Module):
    """`centralised_threshold` with gamma_k(sigma) for every step, stored at knots."""

    INITIAL_PULL = 0.1

    def __init__(self, steps: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.pull = nn.Parameter(torch.full((len(knots), steps), self.INITIAL_PULL))
        self.interpolate = LevelInterpolation(knots)

    def numbers(self, sigma: Tensor) -> Tensor:
        """Gamma of every step: noise levels [B] in [0, 1] -> [K, B, 1, 1]."""
        pulls: Tensor = self.interpolate(self.pull, sigma).clamp_min(0)
        return pulls.T[:, :, None, None]

    @staticmethod
    def evidence(point: Tensor, codes: Tensor, before: Sequence[Tensor] | None) -> Sequence[Tensor]:
        """What is averaged over similar patches: the codes.

        Where no gradient is wanted this is a copy, which takes the memory of that `before`, if there was one.
        """
        if torch.is_grad_enabled():
            return (codes,)
        return ((torch.empty_like(codes) if before is None else before[0]).copy_(codes),)

    @staticmethod
    def prox(point: Tensor, threshold: Tensor, averages: Sequence[Tensor], own: Tensor, numbers: Tensor) -> Tensor:
        """`centralised_threshold` with gamma = `numbers`, around the mean of the codes of the others.

        `point` is overwritten where no gradient is wanted.
        """
        centre = averages[0] / (1 - own).clamp_min(LEAST_SHARE)
        shrunk = centralised_threshold(point, threshold, centre, numbers)
        return shrunk if torch.is_grad_enabled() else point.copy_(shrunk)
