"""Fixed points s = f(s) of a step, by repeating it or by Anderson acceleration; each image stops by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

TOLERANCE = 1e-3
MAX_ITERATIONS = 50
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


Step = Callable[[int, Tensor], Tensor]
"""k and states [B, 2 C, H, W] -> the next states; each image made of its own alone."""

EXPLICIT_STEPS = 6


def join(x: Tensor, u: Tensor) -> Tensor:
    """The state [B, 2 C, H, W] of x and u, [B, C, H, W] each."""
    return torch.cat((x, u), 1)


def split(state: Tensor) -> tuple[Tensor, Tensor]:
    """What a state is made of: x and u."""
    x, u = state.chunk(2, 1)
    return x, u


@dataclass(frozen=True, eq=False)
class Unrolled:
    """What running the step came to.

    state: the last iterate, [B, 2 C, H, W], without gradients. fitted: the states whose x the loss compares with the
    clean image, on equal terms, with the gradients of the mode. iterations: how many steps each image took, [B].
    """

    state: Tensor
    fitted: tuple[Tensor, ...]
    iterations: Tensor


class Differentiation(Protocol):
    """A way to run a step and to differentiate what it comes to."""

    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """Repeat `step` from the states `start`; `generator` is for what the mode draws at random."""


@dataclass(frozen=True)
class Explicit:
    """x_K differentiated through all of its K steps."""

    steps: int = EXPLICIT_STEPS

    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """All steps, k = 0 .. K - 1."""
        state = start
        for k in range(self.steps):
            state = step(k, state)
        return Unrolled(state.detach(), (state,), torch.full((len(start),), self.steps, device=start.device))


@dataclass(frozen=True)
class DeepEquilibrium:
    """s* = f(s*) differentiated implicitly, as a whole: ds*/dtheta = (I - J)^-1 df/dtheta, with J = df/ds at s*.

    Both s* and, in the backward pass, g = J^T g + v are found by Anderson acceleration, to the same tolerance.

    Source: Bai, Kolter and Koltun, Deep Equilibrium Models, 2019, theorem 1; Gilton, Ongie and Willett, Deep
    Equilibrium Architectures for Inverse Problems in Imaging, 2021.
    """

    tolerance: float = TOLERANCE
    most: int = MAX_ITERATIONS

    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """The fixed point and one step from it, whose gradient is the fixed point's."""
        with torch.no_grad():
            found = anderson(
                lambda s: step(0, s), start.detach(), tolerance=self.tolerance, most=self.most - 1, watched=_x
            )
        if not torch.is_grad_enabled():
            return _last(step, found.state, found.iterations)
        point = found.state.detach().requires_grad_()
        after = step(0, point)

        def solve(v: Tensor) -> Tensor:
            def transposed(g: Tensor) -> Tensor:
                (pulled,) = torch.autograd.grad(after, point, g, retain_graph=True)
                return pulled + v

            return anderson(transposed, v, tolerance=self.tolerance, most=self.most).state

        # The hook is on a copy, as the solve goes backwards through `after` itself.
        state = after.clone()
        state.register_hook(solve)  # type: ignore[no-untyped-call]
        return Unrolled(state.detach(), (state,), found.iterations + 1)


@dataclass(frozen=True)
class JacobianFree:
    """s* differentiated through the last step only: (I - J)^-1 is taken for I.

    Source: Fung et al., JFB: Jacobian-Free Backpropagation for Implicit Networks, 2022.
    """

    tolerance: float = TOLERANCE
    most: int = MAX_ITERATIONS

    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """The fixed point without gradients, and one step with them."""
        with torch.no_grad():
            found = repeat(
                lambda s: step(0, s), start.detach(), tolerance=self.tolerance, most=self.most - 1, watched=_x
            )
        return _last(step, found.state, found.iterations)


@dataclass(frozen=True, eq=False)
class Suppa:
    """Each step is a proximal step towards the clean image: (1 + lambda) f(x_k) - lambda x_k = x_clean for every k.

    Fitted at two k: the last iterate and, for each image, a random earlier one; x_k counts as given. `relaxation` is
    lambda, a number that is learned, with a rate of its own.

    Source: Le Bon, Le Pendu and Guillemot, 2023, eq. 20 to 23; here f is of x and u, and the loss of x.
    """

    relaxation: Tensor
    tolerance: float = TOLERANCE
    most: int = MAX_ITERATIONS

    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """The iteration without gradients, and with them one step from its end and one from an earlier iterate."""
        start = start.detach()
        draw = _EarlierIterate(start, generator)
        with torch.no_grad():
            found = repeat(
                lambda s: step(0, s), start, tolerance=self.tolerance, most=self.most - 1, watched=_x, watch=draw
            )
        last = step(0, found.state)
        if not torch.is_grad_enabled():
            return Unrolled(last, (last,), found.iterations + 1)
        pairs = (found.state, last), (draw.state, step(0, draw.state))
        fitted = tuple(torch.lerp(before, after, 1 + self.relaxation) for before, after in pairs)
        return Unrolled(last.detach(), fitted, found.iterations + 1)


class _EarlierIterate:
    """One iterate of each image, drawn evenly from all that are shown while it goes on, of which none else is kept."""

    def __init__(self, start: Tensor, generator: torch.Generator) -> None:
        self.state = start
        self._generator = generator
        self._shown = 0

    def __call__(self, state: Tensor, active: Tensor) -> None:
        self._shown += 1
        drawn = torch.rand(len(state), generator=self._generator, device=self._generator.device) * self._shown < 1
        chosen = drawn.to(state.device) & active
        self.state = torch.where(chosen.reshape(-1, 1, 1, 1), state, self.state)


def _last(step: Step, state: Tensor, iterations: Tensor) -> Unrolled:
    after = step(0, state)
    return Unrolled(after.detach(), (after,), iterations + 1)


def _x(state: Tensor) -> Tensor:
    return split(state)[0]
