"""Sparse codes: soft thresholding."""

import torch
from torch import Tensor
from typing_extensions import override

from restorekit.priors.base import CodePrior, Neighbourhood


def soft_threshold(codes: Tensor, threshold: Tensor) -> Tensor:
    """Return S_l(a) = sign(a) max(|a| - l, 0), the prox of l |a|, for thresholds l >= 0 that broadcast against `codes`.

    Without gradients `codes` is overwritten.
    """
    if torch.is_grad_enabled():
        return codes - torch.minimum(torch.maximum(codes, -threshold), threshold)
    return codes.sub_(codes.clamp(-threshold, threshold))


class SparsePrior(CodePrior):
    """Psi_k(alpha) = sum_j lambda_kj |alpha_j|: soft thresholding, without numbers of its own."""

    @override
    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        return soft_threshold(point, threshold)
