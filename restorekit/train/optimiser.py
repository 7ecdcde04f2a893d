"""Muon: steps along the orthogonal matrix that is nearest to the gradient, for the kernels of convolutions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from restorekit.models import Reconstructor
from restorekit.train.recipe import OptimiserSettings

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


class SOAP(torch.optim.Optimizer):
    """For a matrix with gradient G: L <- b L + (1 - b) G G^T, R <- b R + (1 - b) G^T G, with eigenvectors Q_L, Q_R;
    Adam's second moment is kept for Q_L^T G Q_R, its step taken there and turned back. Other tensors get plain Adam.

    The dictionaries of a sparse coder are few, small and badly conditioned, where a full preconditioner is cheap and
    worth more than twice the steps. The bases are refreshed every `REFRESH_STEPS` steps by one of orthogonal iteration.
    Groups with `kernels` hold kernels of convolutions, too large for that, which go along their orthogonalised momentum
    instead (`muon`). Groups with neither are left to Adam.

    Source: Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam (2024).
    """

    COVARIANCE_DECAY = 0.98
    REFRESH_STEPS = 10

    def __init__(self, groups: Iterable[dict[str, Any]], betas: tuple[float, float], epsilon: float) -> None:
        defaults = {"lr": 0.0, "betas": betas, "eps": epsilon, "matrices": False, "kernels": False}
        super().__init__(groups, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; parameters without a gradient stay."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            moved = [(parameter, parameter.grad) for parameter in group["params"] if parameter.grad is not None]
            if group["kernels"]:
                self._update_kernels(moved, group)
                continue
            for parameter, gradient in moved:
                self._update(parameter, gradient, group)
        return loss

    def _update_kernels(self, moved: Sequence[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """All of a shape at once: a GPU takes as long to begin a product of small matrices as to compute it."""
        alike: defaultdict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for kernel, gradient in moved:
            if not self.state[kernel]:
                self.state[kernel]["first"] = torch.zeros_like(kernel)
            alike[kernel.shape].append((kernel, gradient))
        decay = group["betas"][0]
        for same in alike.values():
            kernels, gradients = map(list, zip(*same, strict=True))
            firsts: list[Tensor] = [self.state[kernel]["first"] for kernel in kernels]
            torch._foreach_lerp_(firsts, gradients, 1 - decay)
            ahead = torch._foreach_lerp(gradients, firsts, decay)  # Nesterov's momentum
            torch._foreach_add_(kernels, orthogonalised(torch.stack(ahead)).unbind(), alpha=-group["lr"])

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
            if group["matrices"]:
                state["rows"], state["columns"] = gradient @ gradient.T, gradient.T @ gradient
                state["rows_basis"] = torch.linalg.eigh(state["rows"])[1]
                state["columns_basis"] = torch.linalg.eigh(state["columns"])[1]
        state["step"] += 1
        beta1, beta2 = group["betas"]
        first, second = state["first"], state["second"]
        first.lerp_(gradient, 1 - beta1)
        if group["matrices"]:
            left, right = state["rows_basis"], state["columns_basis"]
            turned = left.T @ gradient @ right
            mean = left.T @ first @ right
        else:
            turned, mean = gradient, first
        second.mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
        age = state["step"].item()
        scale = (second / (1 - beta2**age)).sqrt_().add_(group["eps"])
        change = mean / (1 - beta1**age) / scale
        if group["matrices"]:
            change = left @ change @ right.T
            self._track(state, gradient, refresh=age % self.REFRESH_STEPS == 0)
        parameter.add_(change, alpha=-group["lr"])

    def _track(self, state: dict[str, Tensor], gradient: Tensor, refresh: bool) -> None:
        state["rows"].lerp_(gradient @ gradient.T, 1 - self.COVARIANCE_DECAY)
        state["columns"].lerp_(gradient.T @ gradient, 1 - self.COVARIANCE_DECAY)
        if refresh:
            for side in ("rows", "columns"):
                state[f"{side}_basis"] = torch.linalg.qr(state[side] @ state[f"{side}_basis"])[0]


def rate_factor(step: int, settings: OptimiserSettings) -> float:
    """min(1, (t + 1) / warmup) * (1 + cos(pi t / T)) / 2 for step t of T; multiplies every learning rate."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def average_decay(step: int, settings: OptimiserSettings) -> float:
    """Decay of the weight average: short at first, so that the average does not remember the start."""
    return min(settings.average_decay, (1 + step) / (10 + step))


CONVOLUTION = 4
"""The dimensions of a convolution's kernels, which get the rate of matrices, but no preconditioner."""


def make_optimiser(network: Reconstructor, settings: OptimiserSettings) -> SOAP:
    """Groups of parameters with their `rate`: dictionaries, kernels, all others, and those with rates of their own."""
    named = dict(network.named_parameters())
    own = [{"params": [named.pop(name)], "rate": rate} for name, rate in network.rates.items()]
    matrices = [named.pop(name) for name in network.matrices]
    kernels = [named.pop(name) for name, tensor in tuple(named.items()) if tensor.ndim == CONVOLUTION]
    groups = [
        {"params": matrices, "matrices": True, "rate": settings.matrix_rate},
        {"params": kernels, "kernels": True, "rate": settings.matrix_rate},
        {"params": list(named.values()), "rate": settings.scalar_rate},
        *own,
    ]
    return SOAP([group for group in groups if group["params"]], settings.betas, settings.epsilon)


def optimiser_state(network: Reconstructor, optimiser: SOAP) -> dict[str, Tensor]:
    """A copy of all moments, as `parameter/entry`."""
    return {
        f"{name}/{entry}": tensor.clone()
        for name, parameter in network.named_parameters()
        for entry, tensor in optimiser.state[parameter].items()
    }


def restore_state(network: Reconstructor, optimiser: SOAP, state: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_state` gave."""
    parameters = dict(network.named_parameters())
    for key, tensor in state.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        # A step count stays where the optimiser made it: on the CPU.
        optimiser.state[parameter][entry] = tensor if tensor.ndim == 0 else tensor.to(parameter.device)
