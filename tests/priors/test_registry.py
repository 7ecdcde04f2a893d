"""A prior is one file: a toy one, defined here, trains, restores in tiles, and is saved and loaded."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn

from restorekit import zoo
from restorekit.errors import WeightsError
from restorekit.models import SparseCoding, build, settings_json
from restorekit.priors import PRIORS
from restorekit.priors.base import CodePrior, Neighbourhood
from tests.cards import bare_card
from tests.tiny import tiny_network


class FirmPrior(CodePrior):
    """Firm thresholding: 0 up to l, z above (1 + mu) l, linear in between; mu_k(sigma) is learned for every step.

    Gao and Bruce, WaveShrink with firm shrinkage, 1997.
    """

    def __init__(self, steps: int, atoms: int, knots: tuple[float, ...]) -> None:
        super().__init__(steps, atoms, knots)
        self.spread = nn.Parameter(torch.ones(len(knots), steps))

    def numbers(self, conditioning: Tensor) -> Tensor:
        return self.interpolate(self.spread, conditioning).clamp_min(0.1).T[:, :, None, None]

    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        assert near is None
        shrunk = point.sign() * ((point.abs() - threshold).clamp_min(0) * (1 + 1 / numbers)).minimum(point.abs())
        return shrunk if torch.is_grad_enabled() else point.copy_(shrunk)


class EchoPrior(CodePrior):
    """Codes drawn halfway to the mean of those of similar patches: a prior that uses neighbours, without numbers."""

    uses_neighbours = True

    def evidence(self, point: Tensor, codes: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (codes.clone(),)

    def prox(self, point: Tensor, threshold: Tensor, numbers: Tensor, near: Neighbourhood | None) -> Tensor:
        pulled = point if near is None else point + 0.5 * (near.averages[0] - (1 - near.own) * point)
        return pulled if torch.is_grad_enabled() else point.copy_(pulled)


@pytest.fixture(params=[FirmPrior, EchoPrior])
def network(request, monkeypatch) -> SparseCoding:
    monkeypatch.setitem(PRIORS, "toy", request.param)
    near = {"refresh": (1, 2), "neighbours": 6} if request.param.uses_neighbours else {}
    settings = replace(tiny_network(scales=2).settings, prior="toy", **near)
    made = build("sparse-coding", asdict(settings))
    assert isinstance(made, SparseCoding)
    made.initialise(torch.randn(25, 16, generator=torch.Generator().manual_seed(0)))
    return made


def noisy_images() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(2, 1, 6, 6, generator=generator).repeat_interleave(5, 2).repeat_interleave(5, 3)
    return clean, clean + 0.1 * torch.randn(clean.shape, generator=generator), torch.full((2,), 0.1)


def test_a_new_prior_trains(network: SparseCoding) -> None:
    clean, noisy, sigma = noisy_images()
    optimiser, losses = torch.optim.Adam(network.parameters(), 1e-2), []
    for _ in range(5):
        sums, covered = network(noisy, sigma)
        loss = (sums / covered - clean).square().mean()
        optimiser.zero_grad()
        loss.backward()
        assert all(
            parameter.grad is None or bool(parameter.grad.isfinite().all()) for parameter in network.parameters()
        )
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(bool(parameter.grad.any()) for parameter in network.nonlocal_prior.parameters())


def test_a_new_prior_restores_in_tiles_as_in_training(network: SparseCoding) -> None:
    _, noisy, sigma = noisy_images()
    trained, _ = network(noisy, sigma, 1)
    with torch.no_grad():
        whole, covered = network(noisy, sigma, 1)
        assert torch.allclose(trained, whole, atol=1e-4)
        sums, again = network(noisy, sigma, 1, 16)
    # Neighbours are searched for in each tile: then only the border of a tile may differ a little.
    assert torch.equal(covered, again)
    assert torch.allclose(sums / covered, whole / covered, atol=0.05 if network.similar else 1e-5)


def test_a_new_prior_is_saved_and_loaded(network: SparseCoding, tmp_path) -> None:
    _, noisy, sigma = noisy_images()
    with torch.no_grad():
        network.momentum.add_(0.1)
        for parameter in network.nonlocal_prior.parameters():
            parameter.mul_(1.5)
    architecture, settings = settings_json(network)
    card = replace(bare_card("toy", "denoise", 1, (5.0, 50.0)), architecture=architecture, settings=settings)
    card = replace(card, parameters=sum(parameter.numel() for parameter in network.parameters()))
    path = tmp_path / "toy.safetensors"
    zoo.save_weights(path, network.state_dict(), card)
    loaded = zoo.load_model(path).network
    assert isinstance(loaded, SparseCoding)
    assert loaded.settings.prior == "toy"
    with torch.no_grad():
        assert all(torch.equal(*pair) for pair in zip(loaded(noisy, sigma, 2), network(noisy, sigma, 2), strict=True))


def test_a_warm_start_interpolates_what_a_prior_stores_at_knots(network: SparseCoding) -> None:
    other = build("sparse-coding", {**settings_json(network)[1], "knots": [0.02, 0.3]})
    assert other.load_compatible_weights(network)


def test_an_unknown_prior_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match="prior: use one of sparse, group, centralised, not 'toy'"):
        build("sparse-coding", {**settings_json(tiny_network())[1], "prior": "toy"})
