"""Learned proximal gradient with momentum: one step from a code towards a sparser, truer one."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Operators:
    """D^T [B, p, m], which turns codes into patches; C [B, m, p], which turns patches into codes; m_k, [K]."""

    dictionary: Tensor
    analysis: Tensor
    momentum: Tensor


def gradient_step(
    k: int, targets: Tensor, codes: Tensor, previous: Tensor, operators: Operators, confidence: Tensor | None = None
) -> Tensor:
    """Return z_k, [B, N, p], of step k >= 1 on the data term of all patches; patches and codes are rows.

    u_k = alpha_k + m_k (alpha_k - alpha_{k-1}),    z_k = u_k + (w_k * (y - u_k D^T)) C

    The proximal operator of the prior makes alpha_{k+1} of z_k. With m = 0 and w = 1 it is the LISTA variant of
    Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, eq. 3, and with a mask for w
    their eq. 16; the momentum is that of FISTA (Beck and Teboulle, 2009), learned.

    targets: y, [B, N, m]. codes, previous: alpha_k and alpha_{k-1}, [B, N, p]; without gradients the latter is
    overwritten: on a CPU memory traffic costs most. confidence: w_k, how much each number of y counts, [B, N, m]; 1 if
    None.
    """
    ahead = 1 + operators.momentum[k]
    if torch.is_grad_enabled():
        point = torch.lerp(previous, codes, ahead)
        residual = targets - torch.matmul(point, operators.dictionary)
        residual = residual if confidence is None else residual * confidence
        return point + torch.matmul(residual, operators.analysis)
    point = previous.lerp_(codes, ahead)
    residual = torch.baddbmm(targets, point, operators.dictionary, alpha=-1)
    if confidence is not None:
        residual.mul_(confidence)
    return point.baddbmm_(residual, operators.analysis)
