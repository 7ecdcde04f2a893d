"""The alternating direction method of multipliers, half-quadratic splitting and split Bregman.

The prior is a denoiser, or total variation where the data term is diagonal in Fourier space: MRI, circular blur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.numerics import finite_differences as fd
from restorekit.solvers.differentiation import TOLERANCE, all_active, relative_change

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Images [B, C, H, W] and the sigma of each, [B] in [0, 1] -> images without that noise."""

Proximal = Callable[[Tensor, Tensor], Tensor]
"""z [B, C, H, W] and rho [B or 1, 1, 1, 1] -> argmin_x 1/2 ||A x - y||^2 + rho/2 ||x - z||^2 for fixed y and A."""

NEXT = ((1, 0), (0, 1))
"""To the next row and the next column."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Of each of K iterations the sigma given to the denoiser, [K], or [K, B] where images differ, and rho, the weight
    of the prior against the data, likewise. opening: that weight in x_0, [1] or [B]. dual: whether the dual variable u
    is updated (ADMM), or stays zero (half-quadratic splitting, which needs falling sigmas).
    """

    sigmas: Tensor
    rhos: Tensor
    opening: Tensor
    dual: bool = True

    def to(self, device: torch.device) -> Schedule:
        """Return the schedule on another device."""
        return Schedule(self.sigmas.to(device), self.rhos.to(device), self.opening.to(device), self.dual)


@dataclass(frozen=True, eq=False)
class Iteration:
    """The state after an iteration: its number from 1, x and z as [B, C, H, W], and x's relative change, [B]."""

    number: int
    x: Tensor
    z: Tensor
    change: Tensor


@dataclass(frozen=True, eq=False)
class Solution:
    """x, which fits the data; z, the last output of the denoiser; and the number of iterations of each image, [B]."""

    x: Tensor
    z: Tensor
    iterations: Tensor


def admm_step(
    denoiser: Denoiser, prox: Proximal, x: Tensor, u: Tensor | None, sigma: Tensor, rho: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Take one step: z = D(x + u, sigma),  x = prox(z - u, rho),  u = u + x - z; return the new x, z and u.

    sigma and rho are [B] or of one number; u is None where it stays zero: half-quadratic splitting. Source: Le Bon, Le
    Pendu and Guillemot, Stochastic Unrolled Proximal Point Algorithm for linear image inverse problems, 2023, eq. 3 to
    7, starting at the denoiser.
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
    tol: float = TOLERANCE,
    watch: Callable[[Iteration], None] | None = None,
) -> Solution:
    """Run ADMM from x = start, [B, C, H, W], and u = 0, each image until ||x_k+1 - x_k|| < tol ||x_k||.

    The denoiser is also called with images that have stopped, as long as others go on. prox: of the data term, such as
    a `Physics.prox_l2` for one observation. tol: 0 runs the whole schedule. watch: called after each iteration.
    """
    x, z = start, start
    u = torch.zeros_like(start) if schedule.dual else None
    active, iterations = all_active(start)
    for number, (sigma, rho) in enumerate(zip(schedule.sigmas, schedule.rhos, strict=True), 1):
        next_x, next_z, u = admm_step(denoiser, prox, x, u, sigma, rho)
        change = relative_change(x, next_x)
        going = active.reshape(-1, 1, 1, 1)  # The u of images that have stopped does not matter.
        x, z = torch.where(going, next_x, x), torch.where(going, next_z, z)
        iterations += active
        if watch:
            watch(Iteration(number, x, z, change.where(active, 0)))
        active = active & (change >= tol)
        if not bool(active.any()):
            break
    return Solution(x, z, iterations)


@dataclass(frozen=True)
class Splitting:
    """How prior and data are made to agree at a given noise: by half-quadratic splitting, or by ADMM at one sigma.

    Half-quadratic splitting has sigma_1 .. sigma_K that fall evenly in the logarithm, and rho_k = weight noise^2 /
    sigma_k+1^2, so that the x of iteration k suits the denoiser of the next; the last rho repeats the one before. Its
    result is z. K. Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser Prior, 2021, section 4.2, where
    weight is 0.23.
    iterations: K, all of which are run; 1 or more, else a UsageError. first: sigma_1, in [0, 1]. last: sigma_K as a
    multiple of the noise, or None for ADMM, which keeps sigma_1 and rho_1. weight: of the prior. least_noise: the
    noise, in [0, 1], that prior and data are weighed by if there is less.
    """

    iterations: int
    first: float
    last: float | None
    weight: float
    least_noise: float
    tolerance: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"{self.iterations} iterations make no result; use 1 or more")

    def schedule(self, noise: float) -> Schedule:
        """Return the schedule for noise of a standard deviation in [0, 1]."""
        noise = max(noise, self.least_noise)
        if self.last is None:
            sigma = max(self.first, noise)
            rhos = torch.full((self.iterations,), self.rho(noise, sigma))
            return Schedule(torch.full((self.iterations,), sigma), rhos, rhos[:1])
        last = self.last * noise
        first = max(self.first, last)
        sigmas = torch.logspace(0, 1, self.iterations, base=last / first) * first
        rhos = self.weight * noise**2 / sigmas**2
        return Schedule(sigmas, torch.cat((rhos[1:], rhos[-1:])), rhos[:1], dual=False)

    def rho(self, noise: float, sigma: float) -> float:
        """Return the weight of the prior against the data at one sigma of the denoiser."""
        return self.weight * (max(noise, self.least_noise) / sigma) ** 2


def total_variation(
    adjoint: Tensor,
    spectrum: Tensor,
    lmbda: float,
    *,
    iterations: int = 100,
    penalty: float = 0.05,
    watch: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Return argmin_x 1/2 ||A x - y||^2 + lmbda sum_i ||grad x_i||, with periodic borders, by split Bregman.

    The norm is over both directions and all channels of a pixel, so that channels share their edges. adjoint: A^T y,
    real or complex, [B, C, H, W]. spectrum: S = F A^T A F^-1, [H, W], zero frequency at [0, 0]; for real images that of
    frequency -k is that of k. lmbda: above 0. iterations: a hundred bring images in [0, 1] to a few thousandths of the
    solution. penalty: weight of the splitting grad x = d, which changes the path but not the solution. watch: called
    with x after each iteration.
    Source: Goldstein and Osher, The Split Bregman Method for L1-Regularized Problems, 2009, section 4 (MRI).
    """
    # Where frequency zero was not measured, nothing fixes the mean, and it stays zero.
    system = (spectrum + penalty * fd.finite_differences_spectra(adjoint, NEXT).sum(0)).clamp_min(1e-9)
    x = adjoint
    dual = torch.zeros_like(torch.stack((x, x)))
    for _ in range(iterations):
        differences = fd.finite_differences(x, NEXT) + dual
        length = differences.abs().square().sum((0, 2), keepdim=True).sqrt().clamp_min(1e-12)
        kept = differences * (1 - lmbda / (penalty * length)).clamp_min(0)
        dual = differences - kept
        right = adjoint + penalty * fd.finite_differences_adjoint(kept - dual, NEXT)
        solved = torch.fft.ifft2(torch.fft.fft2(right) / system)
        x = solved if adjoint.is_complex() else solved.real
        if watch:
            watch(x)
    return x
