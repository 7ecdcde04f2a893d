"""The interface of priors on the codes of patches, and the thresholds they share.

The paper here is Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from restorekit.numerics.level_interpolation import LevelInterpolation


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
