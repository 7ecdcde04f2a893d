"""Muon: steps along the orthogonal matrix that is nearest to the gradient, for the kernels of convolutions."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
NEGLIGIBLE = 1e-12
"""Steps along gradients of a smaller norm are shorter in proportion: those of a kernel that nothing needs die away."""


def orthogonalised(gradients: Tensor) -> Tensor:
    """U V^T of each gradient U S V^T, [..., outputs, inputs, height, width], about: singular values between 0.7 and
    1.2, and its shape.

    X <- P X with P = a + b X X^T + c (X X^T)^2, begun at the gradient divided by its norm. A kernel with more outputs
    than inputs gets longer steps, so that each output moves as far. The few directions that prevail in images then do
    not hold back the others.

    A kernel is far wider than it is high, so the small X X^T is what is followed, X X^T <- P X X^T P, and X is
    multiplied by the product of all P once, at the end: the same but for rounding, in half the time or less.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    outputs, inputs = gradients.shape[-4], gradients.shape[-3:].numel()
    matrices = gradients.reshape(-1, outputs, inputs)
    x = matrices.mT if outputs > inputs else matrices
    norm = x.norm(dim=(-2, -1), keepdim=True)
    x = x / norm.clamp_min(NEGLIGIBLE)
    a, b, c = COEFFICIENTS
    square, identity = x @ x.mT, torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + torch.baddbmm(square, square, square, beta=b, alpha=c)
        product, square = factor @ product, factor @ square @ factor
    x = product @ x
    x = x.mT if outputs > inputs else x
    turned: Tensor = max(1.0, outputs / inputs) ** 0.5 * (norm / NEGLIGIBLE).clamp_max(1) * x
    return turned.reshape(gradients.shape)
