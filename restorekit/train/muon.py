"""Muon: steps along the orthogonal matrix that is nearest to the gradient, for the kernels of convolutions."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315


def orthogonalised(gradient: Tensor) -> Tensor:
    """U V^T of a gradient U S V^T [outputs, ...], about: singular values between 0.7 and 1.2, and its shape.

    X <- a X + b (X X^T) X + c (X X^T)^2 X, begun at the gradient divided by its norm. A kernel with more outputs than
    inputs gets longer steps, so that each output moves as far. The few directions that prevail in images then do not
    hold back the others.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
    """
    matrix = gradient.flatten(1)
    outputs, inputs = matrix.shape
    x = matrix.T if outputs > inputs else matrix
    x = x / x.norm().clamp_min(torch.finfo(x.dtype).tiny)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    x = x.T if outputs > inputs else x
    turned: Tensor = max(1.0, outputs / inputs) ** 0.5 * x
    return turned.reshape(gradient.shape)
