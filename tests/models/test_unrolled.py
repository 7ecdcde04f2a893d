"""The unrolled ADMM: what it computes, what is learned in each mode, and the settings on a card."""

import pytest
import torch

from restorekit.errors import WeightsError
from restorekit.models import Measurement, build, settings_json
from restorekit.models.unrolled import UnrolledADMM
from restorekit.physics.blur import CircularBlur, gaussian_kernel
from restorekit.solvers.admm import admm
from tests.tiny import tiny_network

NOISE = torch.tensor([0.01, 0.03])


def settings(mode: str = "explicit", dual: bool = True, **changes: object) -> dict[str, object]:
    architecture, denoiser = settings_json(tiny_network())
    given = {
        "mode": mode,
        "iterations": 3,
        "knots": [0.01, 0.05],
        "dual": dual,
        "first": 0.1,
        "last": 0.0 if dual else 1.5,
        "weight": 0.3,
        "denoiser": {"architecture": architecture, "settings": denoiser},
    }
    return {**given, **changes}


def network(mode: str = "explicit", dual: bool = True, iterations: int = 3) -> UnrolledADMM:
    made = build("unrolled-admm", settings(mode, dual, iterations=iterations))
    assert isinstance(made, UnrolledADMM)
    assert made.load_compatible_weights(tiny_network())
    return made


def measurement() -> tuple[Measurement, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 1, 3, 3, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)[..., :23, :23]
    physics = CircularBlur(gaussian_kernel(0.7))
    y = physics.A(clean) + NOISE[:, None, None, None] * torch.randn(clean.shape, generator=generator)
    return Measurement(y, y, NOISE, NOISE, physics), clean


@pytest.mark.parametrize("dual", [True, False])
@torch.no_grad()
def test_explicit_steps_are_those_of_the_solver(dual: bool) -> None:
    unrolled, (given, _) = network(dual=dual), measurement()
    # Steps differ, and so does the conditioning of the images.
    unrolled.log_sigma.add_(0.3 * torch.randn(unrolled.log_sigma.shape, generator=torch.Generator().manual_seed(1)))
    schedule = unrolled.schedule(NOISE)

    def denoise(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        sums, covered = unrolled.denoiser(images, sigma, 2, 160)
        return (sums / covered).clamp(0, 1)

    def prox(z: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
        return given.physics.prox_l2(z, given.y, rho)

    start = prox(given.x0, schedule.opening.reshape(-1, 1, 1, 1))
    solution = admm(denoise, prox, start, schedule, tol=0)
    expected = solution.x if dual else solution.z
    torch.testing.assert_close(unrolled.reconstruct(given, 2, 160), expected, rtol=1e-5, atol=1e-6)


def test_it_starts_as_plug_and_play_at_each_knot() -> None:
    schedule = network(dual=False).schedule(torch.tensor([0.01, 0.05]))
    torch.testing.assert_close(schedule.sigmas[0], torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(schedule.sigmas[-1], torch.tensor([0.015, 0.075]))
    torch.testing.assert_close(schedule.opening, 0.3 * torch.tensor([0.01, 0.25]))
    assert not schedule.dual


@pytest.mark.parametrize("mode", ["explicit", "deq", "jfb", "suppa"])
def test_each_mode_learns_its_own_parameters(mode: str) -> None:
    unrolled, (given, clean) = network(mode, iterations=8), measurement()
    unrolled.requires_grad_(True)
    if mode in ("jfb", "suppa"):
        unrolled.log_rho.requires_grad_(False)
    fitted = unrolled.fitted(given, 2, torch.Generator().manual_seed(0))
    assert len(fitted) == (2 if mode == "suppa" else 1)
    torch.stack([(x - clean).square().mean() for x, _ in fitted]).mean().backward()
    learned = {name for name, tensor in unrolled.named_parameters() if tensor.grad is not None and tensor.grad.any()}
    assert {"log_sigma", "denoiser.dictionary", "denoiser.synthesis"} <= learned
    assert ("log_rho" in learned) == (mode in ("explicit", "deq"))
    assert ("relaxation" in learned) == (mode == "suppa")


def test_a_network_is_rebuilt_from_its_settings() -> None:
    first = network("suppa")
    again = build(*settings_json(first))
    assert again.load_compatible_weights(first)
    assert settings_json(again) == settings_json(first)


@torch.no_grad()
def test_a_longer_network_starts_with_the_steps_of_a_shorter_one() -> None:
    short, long = network(iterations=1), network(iterations=3)
    short.log_sigma.add_(0.1)
    untouched = long.log_sigma[:, 1:].clone()
    assert long.load_compatible_weights(short)
    torch.testing.assert_close(long.log_sigma[:, :1], short.log_sigma)
    torch.testing.assert_close(long.log_sigma[:, 1:], untouched)
    other = build("unrolled-admm", settings(knots=[0.01, 0.06]))
    assert not other.load_compatible_weights(short)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "implicit"}, "mode.*'explicit', 'deq'"),
        ({"mode": "deq", "dual": False, "last": 1.5}, "mode deq"),
        ({"first": 0}, "above 0"),
        ({"weight": "heavy"}, "weight.*number"),
        ({"iterations": 0}, "iterations.*greater than or equal to 1"),
        ({"denoiser": "sparse-coding"}, "denoiser"),
        ({"denoiser": {"architecture": "sparse-coding"}}, "denoiser.settings"),
        ({"denoiser": {"architecture": "unrolled-admm", "settings": {}}}, "unrolled-admm model: mode"),
    ],
)
def test_wrong_settings_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build("unrolled-admm", settings(**changes))


def test_an_unrolled_network_is_no_denoiser() -> None:
    nested = {"architecture": "unrolled-admm", "settings": settings()}
    with pytest.raises(WeightsError, match="cannot be of unrolled-admm"):
        build("unrolled-admm", settings(denoiser=nested))
