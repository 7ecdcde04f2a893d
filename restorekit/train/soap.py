"""SOAP: Adam in the slowly turning eigenbasis of the gradient's row and column covariances; and Muon beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import torch
from torch import Tensor

from restorekit.train.muon import orthogonalised


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
