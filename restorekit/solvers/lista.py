"""Learned iterative soft thresholding with momentum: K steps from nothing towards a code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def lista(
    patches: Tensor, dictionary: Tensor, analysis: Tensor, momentum: Tensor, prox: Callable[[int, Tensor], Tensor]
) -> Tensor:
    """Unrolled accelerated proximal gradient with learned matrices.

    z_k         = alpha_k + m_k (alpha_k - alpha_{k-1})
    alpha_{k+1} = prox_k(z_k + C^T (y - D z_k)),     alpha_0 = 0

    With m = 0 it is the LISTA variant of Lecouat, Ponce and Mairal, eq. 3; the momentum is that of FISTA (Beck and
    Teboulle, 2009), learned.

    Args:
        patches: y, [B, m, N].
        dictionary: D, [m, p].
        analysis: C^T, [p, m].
        momentum: m_k for each of the K steps, [K]; the first two have no effect.
        prox: the proximal operator of step k, (k, [B, p, N]) -> [B, p, N].

    Returns:
        The codes alpha_K, [B, p, N].
    """
    codes = previous = prox(0, torch.matmul(analysis, patches))
    for k in range(1, momentum.numel()):
        point = torch.lerp(previous, codes, 1 + momentum[k])
        residual = patches - torch.matmul(dictionary, point)
        previous, codes = codes, prox(k, point + torch.matmul(analysis, residual))
    return codes


def lista_in_place(
    patches: Tensor, dictionary: Tensor, analysis: Tensor, momentum: Tensor, prox_: Callable[[int, Tensor], Tensor]
) -> Tensor:
    """The iteration of `lista` in two buffers that stay in the cache, for when no gradient is wanted.

    `prox_` overwrites what it is given. On a CPU memory traffic is what costs, and there is less of it.
    """
    batch = patches.shape[0]
    dictionary, analysis = dictionary.expand(batch, -1, -1), analysis.expand(batch, -1, -1)
    codes = prox_(0, torch.matmul(analysis, patches))
    previous, residual = codes.clone(), torch.empty_like(patches)
    for k in range(1, momentum.numel()):
        point = previous.lerp_(codes, 1 + momentum[k])
        torch.baddbmm(patches, dictionary, point, alpha=-1, out=residual)
        previous, codes = codes, prox_(k, point.baddbmm_(analysis, residual))
    return codes
