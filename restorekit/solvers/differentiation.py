"""Fixed points s = f(s) of a step, and four ways to differentiate its repetition; each image stops by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from typing_extensions import override

TOLERANCE = 1e-3
MAX_ITERATIONS = 50
MEMORY = 5
"""How many earlier iterates Anderson acceleration combines; more cost memory and bring little."""
EXPLICIT_STEPS = 6

Map = Callable[[Tensor], Tensor]
"""States [B, ...] -> states of that shape, each made from its own alone."""
Step = Callable[[int, Tensor], Tensor]
"""k and states [B, 2 C, H, W] -> the next states; each image made from its own alone."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """States [B, ...] that change little under the step, and the number of its evaluations for each, [B]."""

    state: Tensor
    iterations: Tensor


def repeat(
    function: Map,
    start: Tensor,
    *,
    tol: float,
    max_iter: int,
    watched: Map | None = None,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> FixedPoint:
    """Iterate s_k+1 = f(s_k) until ||s_k+1 - s_k|| < tol ||s_k||, for each image by itself.

    Args:
        function: f. It is also called with states that have stopped, as long as others go on.
        start: s_0, [B, ...].
        tol: 0 runs all iterations.
        max_iter: the largest number of iterations.
        watched: selects the part of a state whose change is measured; all of it if None.
        watch: called before each iteration with the states [B, ...] and which of them go on, [B].
    """
    state, active = start, torch.ones(len(start), dtype=torch.bool, device=start.device)
    iterations = torch.zeros(len(start), dtype=torch.int64, device=start.device)
    for _ in range(max_iter):
        if watch is not None:
            watch(state, active)
        image = function(state)
        change = relative_change(state, image, watched)
        state = torch.where(_like(active, state), image, state)
        iterations += active
        active = active & (change >= tol)
        if not bool(active.any()):
            break
    return FixedPoint(state, iterations)


def anderson(function: Map, start: Tensor, *, tol: float, max_iter: int, watched: Map | None = None) -> FixedPoint:
    """Iterate s_k+1 = sum_i a_i f(s_i), a minimising ||sum_i a_i (f(s_i) - s_i)|| over sum_i a_i = 1, i = k-5 .. k.

    Arguments are as for `repeat`. For each image the f(s_k) is returned that changed it least, so that a step which is
    no contraction does no harm.

    Source: Walker and Ni, Anderson Acceleration for Fixed-Point Iterations, 2011, section 2, with a small ridge.
    """
    state = best = start
    active = torch.ones(len(start), dtype=torch.bool, device=start.device)
    iterations = torch.zeros(len(start), dtype=torch.int64, device=start.device)
    least = torch.full(start.shape[:1], torch.inf, dtype=start.dtype, device=start.device)
    images: list[Tensor] = []
    residuals: list[Tensor] = []
    for _ in range(max_iter):
        image = function(state)
        change = relative_change(state, image, watched)
        better = active & (change < least)
        best, least = torch.where(_like(better, best), image, best), torch.where(better, change, least)
        iterations += active
        active = active & (change >= tol)
        if not bool(active.any()):
            break
        images = [*images[-MEMORY:], image.flatten(1)]
        residuals = [*residuals[-MEMORY:], (image - state).flatten(1)]
        state = torch.where(_like(active, best), _combined(images, residuals).reshape(start.shape), best)
    return FixedPoint(best, iterations)


def relative_change(before: Tensor, after: Tensor, watched: Map | None = None) -> Tensor:
    """Return ||after - before|| / ||before|| of each image, [B], over the watched part of the states."""
    if watched is not None:
        before, after = watched(before), watched(after)
    change: Tensor = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1).clamp_min(1e-12)
    return change


def _combined(images: list[Tensor], residuals: list[Tensor]) -> Tensor:
    """Return sum_i a_i f(s_i) = f(s_k) - sum_i g_i d f_i [B, n], where g minimises ||r_k - sum_i g_i d r_i||.

    d f_i = f(s_i+1) - f(s_i), and d r_i alike of the residuals, scaled to unit length because they shrink.
    """
    if len(images) == 1:
        return images[0]
    image_steps, residual_steps = (torch.stack(found, 2).diff(dim=2) for found in (images, residuals))
    lengths = residual_steps.norm(dim=1, keepdim=True).clamp_min(torch.finfo(residual_steps.dtype).tiny)
    columns = residual_steps / lengths
    identity = torch.eye(columns.shape[2], dtype=columns.dtype, device=columns.device)
    ridge = torch.finfo(columns.dtype).eps ** 0.5 * identity
    weights = torch.linalg.solve(columns.mT @ columns + ridge, columns.mT @ residuals[-1][..., None])
    combined: Tensor = images[-1] - ((image_steps / lengths) @ weights)[..., 0]
    return combined


def _like(flags: Tensor, states: Tensor) -> Tensor:
    return flags.reshape(-1, *[1] * (states.ndim - 1))


def join(x: Tensor, u: Tensor) -> Tensor:
    """Return the state [B, 2 C, H, W] of x and u, [B, C, H, W] each."""
    return torch.cat((x, u), 1)


def split(state: Tensor) -> tuple[Tensor, Tensor]:
    """Return x and u of a state."""
    x, u = state.chunk(2, 1)
    return x, u


@dataclass(frozen=True, eq=False)
class Unrolled:
    """The result of running a step.

    state: the last iterate, [B, 2 C, H, W], without gradients. fitted: the states whose x the loss compares with the
    clean image, on equal terms, with the gradients of the mode. iterations: the number of steps of each image, [B].
    """

    state: Tensor
    fitted: tuple[Tensor, ...]
    iterations: Tensor


class Differentiation(ABC):
    """A way to run a step and to differentiate its result."""

    @abstractmethod
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        """Repeat `step` from the states `start`; `generator` serves modes that draw at random."""


@dataclass(frozen=True)
class Explicit(Differentiation):
    """x_K differentiated through all of its K steps, k = 0 .. K - 1."""

    steps: int = EXPLICIT_STEPS

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        state = start
        for k in range(self.steps):
            state = step(k, state)
        return Unrolled(state.detach(), (state,), torch.full((len(start),), self.steps, device=start.device))


@dataclass(frozen=True)
class _ToTolerance(Differentiation):
    tol: float = TOLERANCE
    max_iter: int = MAX_ITERATIONS


@dataclass(frozen=True)
class DeepEquilibrium(_ToTolerance):
    """s* = f(s*) differentiated implicitly: ds*/dtheta = (I - J)^-1 df/dtheta, with J = df/ds at s*.

    Both s* and, in the backward pass, g = J^T g + v are found by Anderson acceleration, to the same tolerance.

    Source: Bai, Kolter and Koltun, Deep Equilibrium Models, 2019, theorem 1; Gilton, Ongie and Willett, Deep
    Equilibrium Architectures for Inverse Problems in Imaging, 2021.
    """

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        with torch.no_grad():
            found = anderson(partial(step, 0), start.detach(), tol=self.tol, max_iter=self.max_iter - 1, watched=_x_of)
        if not torch.is_grad_enabled():
            return _last_step(step, found)
        point = found.state.detach().requires_grad_()
        after = step(0, point)

        def solve(v: Tensor) -> Tensor:
            def transposed(g: Tensor) -> Tensor:
                (pulled,) = torch.autograd.grad(after, point, g, retain_graph=True)
                return pulled + v

            return anderson(transposed, v, tol=self.tol, max_iter=self.max_iter).state

        # The hook is on a copy because the solve goes backwards through `after` itself.
        state = after.clone()
        state.register_hook(solve)  # type: ignore[no-untyped-call]
        return Unrolled(state.detach(), (state,), found.iterations + 1)


@dataclass(frozen=True)
class JacobianFree(_ToTolerance):
    """s* differentiated through the last step only: (I - J)^-1 is replaced by I.

    Source: Fung et al., JFB: Jacobian-Free Backpropagation for Implicit Networks, 2022.
    """

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        with torch.no_grad():
            found = repeat(partial(step, 0), start.detach(), tol=self.tol, max_iter=self.max_iter - 1, watched=_x_of)
        return _last_step(step, found)


@dataclass(frozen=True, eq=False)
class Suppa(_ToTolerance):
    """Each step is a proximal step towards the clean image: (1 + lambda) f(x_k) - lambda x_k = x_clean for every k.

    Fitted at two k: the last iterate and, for each image, a random earlier one, both without their own gradients.
    `relaxation` is lambda, which is learned.

    Source: Le Bon, Le Pendu and Guillemot, 2023, eq. 20 to 23; here f is of x and u, and the loss of x.
    """

    relaxation: Tensor = field(kw_only=True)

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        earlier, shown = start.detach(), 0

        def draw(state: Tensor, active: Tensor) -> None:
            # Keeps one iterate of each image, drawn evenly from all those while it goes on.
            nonlocal earlier, shown
            shown += 1
            drawn = torch.rand(len(state), generator=generator, device=generator.device) * shown < 1
            earlier = torch.where((drawn.to(state.device) & active).reshape(-1, 1, 1, 1), state, earlier)

        with torch.no_grad():
            found = repeat(
                partial(step, 0), earlier, tol=self.tol, max_iter=self.max_iter - 1, watched=_x_of, watch=draw
            )
        last = step(0, found.state)
        if not torch.is_grad_enabled():
            return Unrolled(last, (last,), found.iterations + 1)
        pairs = (found.state, last), (earlier, step(0, earlier))
        fitted = tuple(torch.lerp(before, after, 1 + self.relaxation) for before, after in pairs)
        return Unrolled(last.detach(), fitted, found.iterations + 1)


def _last_step(step: Step, found: FixedPoint) -> Unrolled:
    after = step(0, found.state)
    return Unrolled(after.detach(), (after,), found.iterations + 1)


def _x_of(state: Tensor) -> Tensor:
    return split(state)[0]
