import torch

from restorekit.priors.total_variation import NEIGHBOURS, TrainableVariation, smoothed_slope


def test_smoothed_slope_is_what_the_prox_takes_away() -> None:
    grid = torch.linspace(-2, 2, 40001, dtype=torch.float64)
    for slope in (-1.3, -0.1, 0.0, 0.25, 0.9):
        prox = grid[(0.5 * (grid - slope) ** 2 + 0.3 * grid.abs()).argmin()]
        taken = smoothed_slope(torch.full((1, 1, 1), slope, dtype=torch.float64), torch.tensor(0.3))
        assert abs(float(taken) - (slope - float(prox))) < 2e-4


def test_channels_make_one_step_together() -> None:
    slope = torch.tensor([3.0, 4.0])[:, None, None]
    assert torch.allclose(smoothed_slope(slope, torch.tensor(1.0)).flatten(), torch.tensor([0.6, 0.8]))


def test_it_is_the_gradient_of_one_energy() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    width = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)
    weights = torch.rand(len(NEIGHBOURS), 1, 1, 1, 1, dtype=torch.float64)
    energy = torch.zeros(())
    for (down, right), weight in zip(NEIGHBOURS, weights, strict=True):
        length = (x - x.roll((-down, -right), (2, 3))).square().sum(1).sqrt()
        envelope = torch.where(length < 0.7, 0.5 * length.square(), 0.7 * length - 0.245)
        energy = energy + weight.item() * envelope.sum()
    (gradient,) = torch.autograd.grad(energy, x)
    assert torch.allclose(TrainableVariation(1, (0.1,))(x, weights, width), gradient)


def test_each_pixel_is_compared_with_all_around_it() -> None:
    around = {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)} - {(0, 0)}
    assert {*NEIGHBOURS, *((-down, -right) for down, right in NEIGHBOURS)} == around


def test_widths_are_in_units_of_the_level() -> None:
    prior = TrainableVariation(3, (0.1, 0.2))
    with torch.no_grad():
        prior.theta[0, 1] = -1
    weights, widths = (numbers.detach() for numbers in prior.numbers(torch.tensor([0.1, 0.2])))
    assert weights.shape == (3, 4, 2, 1, 1, 1)
    assert widths.shape == (3, 2, 1, 1, 1)
    assert torch.allclose(widths[0, 1], 2 * widths[0, 0])
    assert float(widths[1, 0]) == 0
