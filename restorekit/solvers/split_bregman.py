"""Total variation where the data term is diagonal in Fourier space: MRI, circular blur."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from restorekit.numerics import finite_differences as fd

NEXT = ((1, 0), (0, 1))
"""To the next row and the next column."""


def total_variation(
    adjoint: Tensor,
    spectrum: Tensor,
    lmbda: float,
    *,
    iterations: int = 100,
    penalty: float = 0.05,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Return argmin_x 1/2 ||A x - y||^2 + lmbda sum_i ||grad x_i||, with periodic borders.

    The norm is over both directions and all channels of a pixel, so that channels share their edges.

    Args:
        adjoint: A^T y, real or complex, [B, C, H, W].
        spectrum: S = F A^T A F^-1, [H, W], zero frequency at [0, 0]; for real images that of frequency -k is that of k.
        lmbda: weight of the prior, above 0.
        iterations: of split Bregman; a hundred bring images in [0, 1] to a few thousandths of the solution.
        penalty: weight of the splitting grad x = d, which changes the path but not the solution.
        watch: called with x after each iteration.

    Source: Goldstein and Osher, The Split Bregman Method for L1-Regularized Problems, 2009, section 4 (MRI).
    """
    # Where frequency zero was not measured, nothing fixes the mean, and it stays zero.
    system = (spectrum + penalty * fd.finite_differences_spectra(adjoint, NEXT).sum(0)).clamp_min(1e-9)
    x = adjoint
    dual = torch.zeros_like(torch.stack((x, x)))
    for _ in range(iterations):
        differences = fd.finite_differences(x, NEXT) + dual
        length = differences.abs().square().sum((0, 2), keepdim=True).sqrt().clamp_min(1e-12)
        kept = differences * (1 - lmbda / (penalty * length)).clamp_min(0)
        dual = differences - kept
        right = adjoint + penalty * fd.finite_differences_adjoint(kept - dual, NEXT)
        solved = torch.fft.ifft2(torch.fft.fft2(right) / system)
        x = solved if adjoint.is_complex() else solved.real
        if watch is not None:
            watch(x)
    return x
