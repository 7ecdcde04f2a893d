"""Priors on the codes of patches: their interface, the thresholds they share, and three of them.

The sparse one, groups of similar patches that share atoms, and codes pulled together are, but for the pull of the group
prior, those of Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models: the paper here.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.numerics.level_interpolation import LevelInterpolation

LEAST_SHARE = 1e-6
"""The least weight of the others in an average: keeps the division finite where no patch is similar."""
FLOOR = 1e-8
"""The least energy: keeps the shrinkage and its gradient finite at zero."""


@dataclass(frozen=True)
class Neighbourhood:
    """Averages over similar patches: sum_{j != i} a_ij v_j of each v of `CodePrior.evidence`; own: a_ii, [B, N, 1]."""

    averages: Sequence[Tensor]
    own: Tensor


class CodePrior(nn.Module, ABC):
    """A prior on codes [B, N, p] by its proximal operator, with learned numbers for every step, if it has any.

    A prior that `uses_neighbours` is given averages over similar patches once a first estimate is known. Its parameters
    are stored at `knots`, values of the conditioning, their first dimension, but for those named in `at_no_knots`.
    """

    uses_neighbours: ClassVar[bool] = False
    at_no_knots: ClassVar[tuple[str, ...]] = ()

    def __init__(self, steps: int, atoms: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.steps, self.atoms = steps, atoms
        self.interpolate = LevelInterpolation(knots)

    def numbers(self, conditioning: Tensor) -> Tensor:
        """Return the prior's numbers, [K, ...], the first dimension that of the steps, for a conditioning [B]."""
        return conditioning.new_empty(self.steps, 0)

    def evidence(self, point: Tensor, codes: Tensor, before: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return tensors [B, N, p] to be averaged over similar patches, made of z_k = `point` and alpha_k = `codes`.

        Without gradients both are overwritten later: copies may take the memory of those `before`, if there are any.
        """
        return ()

    @abstractmethod
    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        """Return alpha_{k+1} of `point`, z_k, [B, N, p], by the threshold lambda_k >= 0, [B, 1, p], and the numbers of
        the step.

        Without gradients `point` is overwritten with the result, which saves memory traffic. `near`, similar patches,
        is None while there is no estimate to find them in, or they are not used.
        """


class Thresholds(nn.Module):
    """lambda_kj(sigma) = sigma max(0, theta_kj(sigma)) for every step k and atom j, theta being stored at knots.

    Measuring thresholds in units of sigma makes theta vary slowly, so that few knots serve all sigmas, and one learning
    rate suits all of them. Source: the paper, eq. 3 and section 3.4.
    """

    INITIAL_THETA = 0.2

    def __init__(self, steps: int, atoms: int, knots: tuple[float, ...]) -> None:
        super().__init__()
        self.interpolate = LevelInterpolation(knots)
        self.theta = nn.Parameter(torch.full((len(knots), steps, atoms), self.INITIAL_THETA))

    def forward(self, sigma: Tensor) -> Tensor:
        """Return lambda for every step and atom: sigma [B] in [0, 1] -> [K, B, 1, p]."""
        theta: Tensor = self.interpolate(self.theta, sigma).clamp_min(0)
        return (theta * sigma[:, None, None]).transpose(0, 1)[:, :, None, :]


def soft_threshold(codes: Tensor, threshold: Tensor) -> Tensor:
    """Return S_l(a) = sign(a) max(|a| - l, 0), the prox of l |a|, for thresholds l >= 0 that broadcast against `codes`.

    Without gradients `codes` is overwritten.
    """
    if torch.is_grad_enabled():
        return codes - torch.minimum(torch.maximum(codes, -threshold), threshold)
    return codes.sub_(codes.clamp(-threshold, threshold))


def centralised_threshold(codes: Tensor, threshold: Tensor, centre: Tensor, pull: Tensor) -> Tensor:
    """Return the prox of l (|u| + gamma |u - beta|): S_l(S_{l gamma}(z - beta - l sign(beta)) + beta + l sign(beta)).

    Codes are z, [B, N, p]; threshold l >= 0 and pull gamma >= 0 broadcast against them. The centre beta, [B, N, p], is
    the mean of the codes of similar patches (eq. 13). Source: the paper, eq. 12 and proposition 1.
    """
    shift = centre + threshold * centre.sign()
    return soft_threshold(soft_threshold(codes - shift, threshold * pull) + shift, threshold)


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


class SparsePrior(CodePrior):
    """Psi_k(alpha) = sum_j lambda_kj |alpha_j|: soft thresholding, without numbers of its own."""

    @override
    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        return soft_threshold(point, threshold)


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
