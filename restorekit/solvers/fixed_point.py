"""Fixed points s = f(s) of a step, by repeating it or by Anderson acceleration; each image stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MEMORY = 5
"""How many earlier iterates Anderson acceleration combines; more cost memory and bring little."""

Map = Callable[[Tensor], Tensor]
"""States [B, ...] -> states of that shape, each made of its own alone."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """States [B, ...] that change little under the step, and how often it was evaluated for each, [B]."""

    state: Tensor
    iterations: Tensor


def repeat(
    function: Map,
    start: Tensor,
    *,
    tolerance: float,
    most: int,
    watched: Map | None = None,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> FixedPoint:
    """s_k+1 = f(s_k) until ||s_k+1 - s_k|| < tolerance ||s_k||, for each image by itself.

    Args:
        function: f. It is shown states that have stopped, too, as long as others go on.
        start: s_0, [B, ...].
        tolerance: 0 takes all the iterations there are.
        most: how many iterations there are.
        watched: the part of a state whose change is measured; all of it if None.
        watch: called before each iteration with the states [B, ...] and which of them go on, [B].
    """
    state = start
    active, iterations = _begun(start)
    for _ in range(most):
        if watch is not None:
            watch(state, active)
        image = function(state)
        change = relative_change(state, image, watched)
        state = torch.where(_like(active, state), image, state)
        iterations += active
        active = active & (change >= tolerance)
        if not bool(active.any()):
            break
    return FixedPoint(state, iterations)


def anderson(function: Map, start: Tensor, *, tolerance: float, most: int, watched: Map | None = None) -> FixedPoint:
    """s_k+1 = sum_i a_i f(s_i), where a minimises ||sum_i a_i (f(s_i) - s_i)|| over sum_i a_i = 1, i = k-5 .. k.

    Arguments are as for `repeat`. For each image the f(s_k) is returned that changed it least, so that a step which is
    no contraction does no harm.

    Source: Walker and Ni, Anderson Acceleration for Fixed-Point Iterations, 2011, section 2, with a small ridge.
    """
    state = best = start
    active, iterations = _begun(start)
    least = torch.full(start.shape[:1], torch.inf, dtype=start.dtype, device=start.device)
    images: list[Tensor] = []
    residuals: list[Tensor] = []
    for _ in range(most):
        image = function(state)
        change = relative_change(state, image, watched)
        better = active & (change < least)
        best, least = torch.where(_like(better, best), image, best), torch.where(better, change, least)
        iterations += active
        active = active & (change >= tolerance)
        if not bool(active.any()):
            break
        images = [*images[-MEMORY:], image.flatten(1)]
        residuals = [*residuals[-MEMORY:], (image - state).flatten(1)]
        state = torch.where(_like(active, best), _combined(images, residuals).reshape(start.shape), best)
    return FixedPoint(best, iterations)


def relative_change(before: Tensor, after: Tensor, watched: Map | None = None) -> Tensor:
    """||after - before|| / ||before|| of each image, [B], over the watched part of the states."""
    if watched is not None:
        before, after = watched(before), watched(after)
    change: Tensor = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1).clamp_min(1e-12)
    return change


def _combined(images: list[Tensor], residuals: list[Tensor]) -> Tensor:
    """sum_i a_i f(s_i) [B, n], written with differences d f_i = f(s_i+1) - f(s_i) and d r_i alike of the residuals.

    f(s_k) - sum_i g_i d f_i, where g minimises ||r_k - sum_i g_i d r_i||; columns d r_i are scaled to unit length, for
    they shrink as the iteration converges.
    """
    if len(images) == 1:
        return images[0]
    image_steps, residual_steps = (torch.stack(found, 2).diff(dim=2) for found in (images, residuals))
    lengths = residual_steps.norm(dim=1, keepdim=True).clamp_min(torch.finfo(residual_steps.dtype).tiny)
    columns = residual_steps / lengths
    ridge = torch.finfo(columns.dtype).eps ** 0.5 * torch.eye(
        columns.shape[2], dtype=columns.dtype, device=columns.device
    )
    weights = torch.linalg.solve(columns.mT @ columns + ridge, columns.mT @ residuals[-1][..., None])
    combined: Tensor = images[-1] - ((image_steps / lengths) @ weights)[..., 0]
    return combined


def _begun(start: Tensor) -> tuple[Tensor, Tensor]:
    active = torch.ones(len(start), dtype=torch.bool, device=start.device)
    return active, torch.zeros(len(start), dtype=torch.int64, device=start.device)


def _like(flags: Tensor, states: Tensor) -> Tensor:
    return flags.reshape(-1, *[1] * (states.ndim - 1))
