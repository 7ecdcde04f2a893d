"""The alternating direction method of multipliers, unrolled: a denoiser and a schedule, trained together for a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.errors import WeightsError
from restorekit.models.base import PatchNetwork, Reconstructor
from restorekit.models.settings import SettingsReader
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.physics.base import Measurement
from restorekit.solvers.admm import Schedule, Splitting, admm_step
from restorekit.solvers.differentiation import (
    DeepEquilibrium,
    Differentiation,
    Explicit,
    JacobianFree,
    Suppa,
    Unrolled,
    join,
    split,
)

MODES = ("explicit", "deq", "jfb", "suppa")
RELAXATION_RATE = 0.1
"""At which SUPPA's lambda is learned, in the paper as here."""


@dataclass(frozen=True)
class DenoiserSettings:
    """The architecture of the denoiser, a `PatchNetwork`, and its settings as on a model card."""

    architecture: str
    settings: Mapping[str, object]


@dataclass(frozen=True)
class UnrolledSettings:
    """What fixes the shapes of an `UnrolledADMM` network, and where its schedule starts from.

    mode: "explicit" for K steps of their own; "deq", "jfb" or "suppa" for one step that is repeated up to K times.
    iterations: K. knots: levels in [0, 1] at which the schedule is stored. dual: whether u is kept up, else it is
    half-quadratic splitting. first, last, weight: of the `Splitting` that the schedule starts as; last 0 is ADMM's.
    """

    mode: str
    iterations: int
    knots: tuple[float, ...]
    dual: bool
    first: float
    last: float
    weight: float
    denoiser: DenoiserSettings

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> UnrolledSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "unrolled-admm")
        inner = given.mapping("denoiser", DenoiserSettings)
        made = cls(
            mode=given.choice("mode", MODES),
            iterations=given.count("iterations"),
            knots=given.levels("knots"),
            dual=given.switch("dual"),
            first=given.number("first"),
            last=given.number("last"),
            weight=given.number("weight"),
            denoiser=DenoiserSettings(inner.text("architecture"), inner.mapping("settings").given),
        )
        if made.mode != "explicit" and (made.last or not made.dual):
            raise WeightsError(f"an unrolled-admm model of mode {made.mode} repeats one step: dual true, and last 0")
        if not (made.knots[0] and made.first and made.weight):
            raise WeightsError("knots, first and weight of an unrolled-admm model are above 0")
        return made


class UnrolledADMM(Reconstructor):
    """x_0 = prox(start, rho_0), then K times  z = D(x + u, sigma_k),  x = prox(z - u, rho_k),  u = u + x - z.

    D is any denoiser that takes a noise level, with the same numbers in all steps, its estimates clamped to [0, 1];
    sigma_k and rho_k depend on the level of the degradation through knots. The result is x_K; without dual variable,
    u = 0, it is z_K. How a step is differentiated is chosen by the mode, see `solvers.differentiation`: explicit steps
    have sigma_k and rho_k of their own, the others share one of each, and rho is learned with "deq" only.

    Source: Le Bon, Le Pendu and Guillemot, Stochastic Unrolled Proximal Point Algorithm for linear image inverse
    problems, 2023; half-quadratic splitting as in K. Zhang, Van Gool and Timofte, Deep Unfolding Reconstructor for Image
    Super-Resolution, 2020.
    """

    def __init__(self, settings: UnrolledSettings, denoiser: PatchNetwork) -> None:
        super().__init__()
        self.settings = settings
        self.denoiser = denoiser
        self.interpolate = LevelInterpolation(settings.knots)
        steps = settings.iterations if settings.mode == "explicit" else 1
        splitting = Splitting(steps, settings.first, settings.last or None, settings.weight, least_noise=0)
        schedules = [splitting.schedule(knot) for knot in settings.knots]
        self.log_sigma = nn.Parameter(torch.stack([schedule.sigmas for schedule in schedules]).log())  # [n, K]
        rhos = torch.stack([torch.cat((schedule.opening, schedule.rhos)) for schedule in schedules])
        # The last x of half-quadratic splitting is not asked for.
        self.log_rho = nn.Parameter(rhos[:, : None if settings.dual else -1].log())  # [n, 1 + K]
        if settings.mode in ("jfb", "suppa"):
            self.log_rho.requires_grad_(False)
        if settings.mode == "suppa":
            self.relaxation = nn.Parameter(torch.ones(()))

    @property
    def channels(self) -> int:
        """Those of the denoiser."""
        return self.denoiser.channels

    @property
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""
        return self.denoiser.patch_size

    @property
    def matrices(self) -> tuple[str, ...]:
        """Those of the denoiser."""
        return tuple(f"denoiser.{name}" for name in self.denoiser.matrices)

    @property
    def rates(self) -> Mapping[str, float]:
        """That of SUPPA's lambda."""
        return {"relaxation": RELAXATION_RATE} if self.settings.mode == "suppa" else {}

    @property
    def repeated(self) -> nn.Module:
        """The denoiser."""
        return self.denoiser

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of such a network, or those of a denoiser; False if they do not fit.

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

    def schedule(self, level: Tensor) -> Schedule:
        """The noise levels and weights at levels of the degradation, [B]."""
        sigmas = self.interpolate(self.log_sigma, level).exp().T
        rhos = self.interpolate(self.log_rho, level).exp().T
        opening, rhos = rhos[0], rhos[1:]
        if not self.settings.dual:
            rhos = torch.cat((rhos, rhos[-1:] if len(rhos) else opening[None]))
        if self.settings.mode != "explicit":
            sigmas, rhos = (values.expand(self.settings.iterations, -1) for values in (sigmas, rhos))
        return Schedule(sigmas, rhos, opening, self.settings.dual)

    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """The images; see `Reconstructor.forward`."""
        return self._estimate(self._unrolled(measurement, stride, tile_size, torch.Generator()).state)

    def fitted(
        self, measurement: Measurement, stride: int, generator: torch.Generator
    ) -> tuple[tuple[Tensor, None], ...]:
        """What the mode compares with the clean images."""
        unrolled = self._unrolled(measurement, stride, None, generator)
        return tuple((self._estimate(state), None) for state in unrolled.fitted)

    def _unrolled(
        self, measurement: Measurement, stride: int, tile_size: int | None, generator: torch.Generator
    ) -> Unrolled:
        schedule = self.schedule(measurement.conditioning)

        def denoise(images: Tensor, sigma: Tensor) -> Tensor:
            sums, covered = self.denoiser(images, sigma, stride, tile_size)
            # Pixels beyond the regular grid of patches are left alone.
            return torch.where(covered > 0, (sums / covered.clamp_min(1)).clamp(0, 1), images)

        def prox(z: Tensor, rho: Tensor) -> Tensor:
            return measurement.physics.prox_l2(z, measurement.y, rho)

        def step(k: int, state: Tensor) -> Tensor:
            x, second = split(state)
            u = second if schedule.dual else None
            x, z, u = admm_step(denoise, prox, x, u, schedule.sigmas[k], schedule.rhos[k])
            return join(x, z if u is None else u)

        begun = prox(measurement.x0, schedule.opening.reshape(-1, 1, 1, 1))
        return self._mode().unroll(step, join(begun, torch.zeros_like(begun)), generator)

    def _estimate(self, state: Tensor) -> Tensor:
        """What counts of a state: x, or z, which takes the place of u where there is none."""
        x, second = split(state)
        return x if self.settings.dual else second

    def _mode(self) -> Differentiation:
        steps = self.settings.iterations
        if self.settings.mode == "explicit":
            return Explicit(steps)
        if self.settings.mode == "deq":
            return DeepEquilibrium(most=steps)
        return JacobianFree(most=steps) if self.settings.mode == "jfb" else Suppa(self.relaxation, most=steps)
