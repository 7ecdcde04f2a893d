"""How the repeated step of an unrolled solver is differentiated: a value that is passed in.

The solver gives `step(k, state) -> state`, which closes over its data and its learned numbers, and a start; a state is
x and u along channels, [B, 2 C, H, W] (`join`, `split`). A `Differentiation` runs it:

    unrolled = mode.unroll(step, start, generator)
    loss = sum((split(state)[0] - clean).square().mean() for state in unrolled.fitted) / len(unrolled.fitted)

`Explicit` takes K steps, which may differ (k = 0 .. K - 1 chooses the step's rho and sigma), and keeps the graph of
all. `DeepEquilibrium`, `JacobianFree` and `Suppa` seek the fixed point of one step, which they call with k = 0, without
gradients, until each image's x changes by less than `tolerance`, relatively; and take the gradient there in memory that
does not grow with the number of iterations. Where gradients are disabled all of them only iterate.

Source: Le Bon, Le Pendu and Guillemot, Stochastic Unrolled Proximal Point Algorithm for linear image inverse problems,
2023, which compares the four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from restorekit.solvers.admm import MAX_ITERATIONS, TOLERANCE
from restorekit.solvers.fixed_point import anderson, repeat

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
