"""The alternating direction method of multipliers with a denoiser as the prior (plug-and-play), and its simpler kin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.solvers.differentiation import MAX_ITERATIONS, TOLERANCE, relative_change

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Images [B, C, H, W] and the noise level of each, [B] in [0, 1] -> images without that noise."""

Proximal = Callable[[Tensor, Tensor], Tensor]
"""z [B, C, H, W] and rho [B or 1, 1, 1, 1] -> argmin_x 1/2 ||A x - y||^2 + rho/2 ||x - z||^2, y and A known to it."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each of K iterations works with.

    sigmas: the noise level the denoiser is told, [K], or [K, B] where images differ. rhos: the weight of the prior
    against the data, alike. opening: that weight in x_0, [1] or [B]. dual: whether the dual variable u is kept up
    (ADMM), or stays zero (half-quadratic splitting, which wants sigmas that fall).
    """

    sigmas: Tensor
    rhos: Tensor
    opening: Tensor
    dual: bool = True

    def to(self, device: torch.device) -> Schedule:
        """The same on another device."""
        return Schedule(self.sigmas.to(device), self.rhos.to(device), self.opening.to(device), self.dual)


@dataclass(frozen=True, eq=False)
class Iteration:
    """What one iteration came to: its number from 1, x and z as [B, C, H, W], and x's relative change, [B]."""

    number: int
    x: Tensor
    z: Tensor
    change: Tensor


@dataclass(frozen=True, eq=False)
class Solution:
    """x, which fits the data; z, which the denoiser made last; and how many iterations each image took, [B]."""

    x: Tensor
    z: Tensor
    iterations: Tensor


def admm_step(
    denoiser: Denoiser, prox: Proximal, x: Tensor, u: Tensor | None, sigma: Tensor, rho: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One step: z = D(x + u, sigma),  x = prox(z - u, rho),  u = u + x - z; returns the new x, z and u.

    Le Bon, Le Pendu and Guillemot, Stochastic Unrolled Proximal Point Algorithm for linear image inverse problems,
    2023, eq. 3 to 7, begun at the denoiser. u is None where it stays zero: half-quadratic splitting. sigma and rho are
    [B] or of one number.
    """
    sigma, rho = sigma.expand(x.shape[0]), rho.reshape(-1, 1, 1, 1)
    if u is None:
        z = denoiser(x, sigma)
        return prox(z, rho), z, None
    z = denoiser(x + u, sigma)
    x = prox(z - u, rho)
    return x, z, u + x - z


def admm(
    denoiser: Denoiser,
    prox: Proximal,
    start: Tensor,
    schedule: Schedule,
    *,
    tolerance: float = TOLERANCE,
    watch: Callable[[Iteration], None] | None = None,
) -> Solution:
    """Repeat `admm_step` from x = start, u = 0, each image until ||x_k+1 - x_k|| < tolerance ||x_k||.

    Args:
        denoiser: the prior. It is shown images that have stopped, too, as long as others go on.
        prox: of the data term, such as a `Physics.prox_l2` with its observation filled in.
        start: x_0, [B, C, H, W].
        schedule: noise levels and weights; there are no more iterations than it has.
        tolerance: 0 goes through the whole schedule.
        watch: called after each iteration.
    """
    x, z = start, start
    u = torch.zeros_like(start) if schedule.dual else None
    active = torch.ones(len(start), dtype=torch.bool, device=start.device)
    iterations = torch.zeros(len(start), dtype=torch.int64, device=start.device)
    for number, (sigma, rho) in enumerate(zip(schedule.sigmas, schedule.rhos, strict=True), 1):
        next_x, next_z, u = admm_step(denoiser, prox, x, u, sigma, rho)
        change = relative_change(x, next_x)
        if bool(active.all()):
            x, z = next_x, next_z
        else:  # What becomes of the u of images that have stopped is no matter.
            going = active.reshape(-1, 1, 1, 1)
            x, z = torch.where(going, next_x, x), torch.where(going, next_z, z)
        iterations += active
        if watch is not None:
            watch(Iteration(number, x, z, change.where(active, 0)))
        active = active & (change >= tolerance)
        if not bool(active.any()):
            break
    return Solution(x, z, iterations)


def constant_schedule(sigma: float, rho: float, iterations: int = MAX_ITERATIONS) -> Schedule:
    """The same in every iteration: ADMM that converges where the denoiser is a proximal operator."""
    rhos = torch.full((iterations,), rho)
    return Schedule(torch.full((iterations,), sigma), rhos, rhos[:1])


def falling_schedule(noise: float, weight: float, first: float, last: float, iterations: int) -> Schedule:
    """Half-quadratic splitting: sigma_1 .. sigma_K from `first` to `last`, evenly in the logarithm; rho_k below.

    rho_k = weight noise^2 / sigma_k+1^2, so that the x of iteration k is ready for the denoiser of the next; the last
    one repeats the one before. The result is z. K. Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser
    Prior, 2021, section 4.2, where weight is 0.23.
    """
    sigmas = torch.logspace(0, 1, iterations, base=last / first) * first
    rhos = weight * noise**2 / sigmas**2
    return Schedule(sigmas, torch.cat((rhos[1:], rhos[-1:])), rhos[:1], dual=False)


@dataclass(frozen=True)
class Splitting:
    """How prior and data are made to agree: by `falling_schedule`, or by ADMM at one noise level.

    iterations: how many. first: the noise level the denoiser starts from, in [0, 1]. last: the level it ends at, as a
    multiple of the noise's, or None for ADMM, which stays at the first. weight: of the prior; rho = weight noise^2 /
    level^2. least_noise: what noise below it is taken for, in [0, 1], as prior and data are weighed by it.

    Raises:
        UsageError: less than one iteration.
    """

    iterations: int
    first: float
    last: float | None
    weight: float
    least_noise: float

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations make no result; use 1 or more")

    @property
    def tolerance(self) -> float:
        """All iterations are gone through."""
        return 0.0

    def schedule(self, noise: float) -> Schedule:
        """What the solver works with at a noise level in [0, 1]."""
        noise = max(noise, self.least_noise)
        if self.last is None:
            level = max(self.first, noise)
            return constant_schedule(level, self.rho(noise, level), self.iterations)
        last = self.last * noise
        return falling_schedule(noise, self.weight, max(self.first, last), last, self.iterations)

    def rho(self, noise: float, level: float) -> float:
        """The weight of the prior against the data while the denoiser is told that level."""
        return self.weight * (max(noise, self.least_noise) / level) ** 2
