"""The alternating direction method of multipliers, unrolled: a denoiser and a schedule, trained together for a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.errors import WeightsError
from restorekit.models.base import Count, Fitted, Knots, Number, PatchNetwork, Reconstructor
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.physics.base import Measurement
from restorekit.settings import Settings
from restorekit.solvers import differentiation
from restorekit.solvers.admm import Schedule, Splitting, admm_step

RELAXATION_RATE = 0.1
"""At which SUPPA's lambda is learned, in the paper as here."""


@dataclass(frozen=True)
class DenoiserSettings(Settings):
    """The architecture of the denoiser, a `PatchNetwork`, and its settings as on a model card."""

    architecture: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class UnrolledSettings(Settings):
    """The shapes of an `UnrolledADMM` network, and the start of its schedule.

    mode: "explicit" for K steps of their own; "deq", "jfb" or "suppa" for one step that is repeated up to K times.
    iterations: K. knots: values of the conditioning, in [0, 1], at which the schedule is stored. dual: whether u is
    updated, else it is half-quadratic splitting. first, last, weight: of the `Splitting` that it starts as, last 0 for
    ADMM.
    """

    mode: Literal["explicit", "deq", "jfb", "suppa"]
    iterations: Count
    knots: Knots
    dual: bool
    first: Number
    last: Number
    weight: Number
    denoiser: DenoiserSettings

    def __post_init__(self) -> None:
        if self.mode != "explicit" and (self.last or not self.dual):
            raise ValueError(f"mode {self.mode} repeats one step: dual must be true, and last 0")
        if not (self.knots[0] and self.first and self.weight):
            raise ValueError("knots, first and weight must be above 0")


class UnrolledADMM(Reconstructor):
    """x_0 = prox(start, rho_0), then K times  z = D(x + u, sigma_k),  x = prox(z - u, rho_k),  u = u + x - z.

    D is any denoiser that takes a sigma, with the same parameters in all steps, its estimates clamped to [0, 1];
    sigma_k and rho_k depend on the conditioning through knots. The result is x_K; without dual variable, u = 0, it is
    z_K. The mode chooses how a step is differentiated, see `solvers.differentiation`: explicit steps have sigma_k and
    rho_k of their own, the others share one of each, and rho is learned with "deq" only. Raises WeightsError if the
    denoiser is no `PatchNetwork`.

    Source: Le Bon, Le Pendu and Guillemot, Stochastic Unrolled Proximal Point Algorithm for linear image inverse
    problems, 2023; half-quadratic splitting as in K. Zhang, Van Gool and Timofte, Deep Unfolding Network for Image
    Super-Resolution, 2020.
    """

    repeated_part = "denoiser"

    def __init__(self, settings: UnrolledSettings) -> None:
        from restorekit.models import build

        super().__init__()
        self.settings = settings
        denoiser = build(settings.denoiser.architecture, settings.denoiser.settings)
        if not isinstance(denoiser, PatchNetwork):
            raise WeightsError(f"the denoiser of an unrolled-admm model cannot be of {settings.denoiser.architecture}")
        self.denoiser = denoiser
        self.channels, self.patch_size = denoiser.channels, denoiser.patch_size
        self.matrices = tuple(f"denoiser.{name}" for name in denoiser.matrices)
        self.interpolate = LevelInterpolation(settings.knots)
        steps = settings.iterations if settings.mode == "explicit" else 1
        splitting = Splitting(steps, settings.first, settings.last or None, settings.weight, least_noise=0)
        schedules = [splitting.schedule(knot) for knot in settings.knots]
        self.log_sigma = nn.Parameter(torch.stack([schedule.sigmas for schedule in schedules]).log())  # [n, K]
        rhos = torch.stack([torch.cat((schedule.opening, schedule.rhos)) for schedule in schedules])
        # The last x of half-quadratic splitting is not needed.
        self.log_rho = nn.Parameter(rhos[:, : None if settings.dual else -1].log())  # [n, 1 + K]
        if settings.mode in ("jfb", "suppa"):
            self.log_rho.requires_grad_(False)
        if settings.mode == "suppa":
            self.relaxation = nn.Parameter(torch.ones(()))
            self.rates = {"relaxation": RELAXATION_RATE}

    @override
    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of such a network, or those of a denoiser; return False if they do not fit.

        Steps that a shorter network does not have start as they are.
        """
        if isinstance(source, PatchNetwork):
            return self.denoiser.load_compatible_weights(source)
        if not isinstance(source, UnrolledADMM) or source.settings.knots != self.settings.knots:
            return False
        for own, given in ((self.log_sigma, source.log_sigma), (self.log_rho, source.log_rho)):
            common = min(own.shape[1], given.shape[1])
            own[:, :common].copy_(given[:, :common])
        return self.denoiser.load_compatible_weights(source.denoiser)

    def schedule(self, conditioning: Tensor) -> Schedule:
        """Return the sigmas and weights for a conditioning [B]."""
        sigmas = self.interpolate(self.log_sigma, conditioning).exp().T
        rhos = self.interpolate(self.log_rho, conditioning).exp().T
        opening, rhos = rhos[0], rhos[1:]
        if not self.settings.dual:
            rhos = torch.cat((rhos, rhos[-1:] if len(rhos) else opening[None]))
        if self.settings.mode != "explicit":
            sigmas, rhos = (values.expand(self.settings.iterations, -1) for values in (sigmas, rhos))
        return Schedule(sigmas, rhos, opening, self.settings.dual)

    @override
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        return self._estimate(self._unrolled(measurement, stride, tile_size, torch.Generator()).state)

    @override
    def fitted(self, measurement: Measurement, stride: int, generator: torch.Generator) -> Fitted:
        unrolled = self._unrolled(measurement, stride, None, generator)
        return tuple((self._estimate(state), None) for state in unrolled.fitted)

    def _unrolled(
        self, measurement: Measurement, stride: int, tile_size: int | None, generator: torch.Generator
    ) -> differentiation.Unrolled:
        schedule = self.schedule(measurement.conditioning)

        def denoise(images: Tensor, sigma: Tensor) -> Tensor:
            sums, covered = self.denoiser(images, sigma, stride, tile_size)
            # Pixels beyond the regular grid of patches are left alone.
            return torch.where(covered > 0, (sums / covered.clamp_min(1)).clamp(0, 1), images)

        def prox(z: Tensor, rho: Tensor) -> Tensor:
            return measurement.physics.prox_l2(z, measurement.y, rho)

        def step(k: int, state: Tensor) -> Tensor:
            x, second = differentiation.split(state)
            u = second if schedule.dual else None
            x, z, u = admm_step(denoise, prox, x, u, schedule.sigmas[k], schedule.rhos[k])
            return differentiation.join(x, z if u is None else u)

        begun = prox(measurement.x0, schedule.opening.reshape(-1, 1, 1, 1))
        return self._mode().unroll(step, differentiation.join(begun, torch.zeros_like(begun)), generator)

    def _estimate(self, state: Tensor) -> Tensor:
        """Return the result of a state: x, or z, which takes the place of u where there is none."""
        x, second = differentiation.split(state)
        return x if self.settings.dual else second

    def _mode(self) -> differentiation.Differentiation:
        steps, mode = self.settings.iterations, self.settings.mode
        if mode == "explicit":
            return differentiation.Explicit(steps)
        if mode == "suppa":
            return differentiation.Suppa(max_iter=steps, relaxation=self.relaxation)
        kind = differentiation.DeepEquilibrium if mode == "deq" else differentiation.JacobianFree
        return kind(max_iter=steps)
