"""Fixed points s = f(s) of a step, and four ways to differentiate its repetition; each image stops by itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

TOLERANCE = 1e-3
MEMORY = 5
"""How many earlier iterates Anderson acceleration combines; more cost memory and bring little."""

Map = Callable[[Tensor], Tensor]
"""States [B, ...] -> states of that shape, each made from its own alone."""
Step = Callable[[int, Tensor], Tensor]
"""k and states [B, 2 C, H, W] -> the next states; each image made from its own alone."""
Watch = Callable[[Tensor, Tensor], None]
"""Called before each iteration with the states [B, ...] and which of them go on, [B]."""


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """States [B, ...] that change little under the step, and the number of its evaluations for each, [B]."""

    state: Tensor
    iterations: Tensor


def repeat(
    function: Map, start: Tensor, *, tol: float, max_iter: int, watched: Map | None = None, watch: Watch | None = None
) -> FixedPoint:
    """Iterate s_k+1 = f(s_k) until ||s_k+1 - s_k|| < tol ||s_k||, for each image by itself.

    f is also called with states that have stopped, as long as others go on. start: s_0, [B, ...]. tol: 0 runs all
    max_iter iterations. watched: selects the part of a state whose change is measured; all of it if None.
    """
    state, (active, iterations) = start, all_active(start)
    for _ in range(max_iter):
        if watch:
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
    active, iterations = all_active(start)
    least = start.new_full((len(start),), torch.inf)
    history: list[tuple[Tensor, Tensor]] = []
    for _ in range(max_iter):
        image = function(state)
        change = relative_change(state, image, watched)
        better = active & (change < least)
        best, least = torch.where(_like(better, best), image, best), torch.where(better, change, least)
        iterations += active
        active = active & (change >= tol)
        if not bool(active.any()):
            break
        history = [*history[-MEMORY:], (image.flatten(1), (image - state).flatten(1))]
        state = torch.where(_like(active, best), _combined(history).reshape(start.shape), best)
    return FixedPoint(best, iterations)


def all_active(start: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of the states [B, ...] go on, all of them, and the iterations of each, none yet."""
    active = torch.ones(len(start), dtype=torch.bool, device=start.device)
    return active, torch.zeros_like(active, dtype=torch.int64)


def relative_change(before: Tensor, after: Tensor, watched: Map | None = None) -> Tensor:
    """Return ||after - before|| / ||before|| of each image, [B], over the watched part of the states."""
    if watched:
        before, after = watched(before), watched(after)
    change: Tensor = (after - before).flatten(1).norm(dim=1) / before.flatten(1).norm(dim=1).clamp_min(1e-12)
    return change


def _combined(history: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return sum_i a_i f(s_i) = f(s_k) - sum_i g_i d f_i [B, n], where g minimises ||r_k - sum_i g_i d r_i||.

    d f_i = f(s_i+1) - f(s_i), and d r_i alike of the residuals, scaled to unit length because they shrink.
    """
    images, residuals = [image for image, _ in history], [residual for _, residual in history]
    if len(images) == 1:
        return images[0]
    image_steps, residual_steps = (torch.stack(found, 2).diff(dim=2) for found in (images, residuals))
    lengths = residual_steps.norm(dim=1, keepdim=True).clamp_min(torch.finfo(residual_steps.dtype).tiny)
    columns = residual_steps / lengths
    ridge = torch.finfo(columns.dtype).eps ** 0.5 * torch.eye(columns.shape[2]).to(columns)
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
    """The last iterate, [B, 2 C, H, W], without gradients, and the number of steps of each image, [B].

    fitted: the states whose x the loss compares with the clean image, on equal terms, with the gradients of the mode.
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

    steps: int = 6

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        state = start
        for k in range(self.steps):
            state = step(k, state)
        return Unrolled(state.detach(), (state,), torch.full((len(start),), self.steps, device=start.device))


@dataclass(frozen=True)
class _ToTolerance(Differentiation):
    tol: float = TOLERANCE
    max_iter: int = 50

    @torch.no_grad()
    def _found(self, solver: Callable[..., FixedPoint], step: Step, start: Tensor, **options: Any) -> FixedPoint:
        """Return the fixed point that leaves one step to take, judged by the change of x."""
        options |= {"tol": self.tol, "max_iter": self.max_iter - 1, "watched": lambda state: split(state)[0]}
        return solver(partial(step, 0), start.detach(), **options)


@dataclass(frozen=True)
class DeepEquilibrium(_ToTolerance):
    """s* = f(s*) differentiated implicitly: ds*/dtheta = (I - J)^-1 df/dtheta, with J = df/ds at s*.

    Both s* and, in the backward pass, g = J^T g + v are found by Anderson acceleration, to the same tolerance.
    Source: Bai, Kolter and Koltun, Deep Equilibrium Models, 2019, theorem 1; Gilton, Ongie and Willett, Deep
    Equilibrium Architectures for Inverse Problems in Imaging, 2021.
    """

    @override
    def unroll(self, step: Step, start: Tensor, generator: torch.Generator) -> Unrolled:
        found = self._found(anderson, step, start)
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
        return _last_step(step, self._found(repeat, step, start))


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

        found = self._found(repeat, step, earlier, watch=draw)
        last = step(0, found.state)
        if not torch.is_grad_enabled():
            return Unrolled(last, (last,), found.iterations + 1)
        pairs = (found.state, last), (earlier, step(0, earlier))
        fitted = tuple(torch.lerp(before, after, 1 + self.relaxation) for before, after in pairs)
        return Unrolled(last.detach(), fitted, found.iterations + 1)


def _last_step(step: Step, found: FixedPoint) -> Unrolled:
    after = step(0, found.state)
    return Unrolled(after.detach(), (after,), found.iterations + 1)
