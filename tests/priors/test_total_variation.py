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


def test_with_equal_weights_it_is_the_gradient_of_one_energy() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    width = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)
    energy = torch.zeros(())
    for down, right in NEIGHBOURS:
        length = (x - x.roll((-down, -right), (2, 3))).square().sum(1).sqrt()
        envelope = torch.where(length < 0.7, 0.5 * length.square(), 0.7 * length - 0.245)
        energy = energy + 0.1 * envelope.sum()
    weights = torch.full((8, 1, 1, 1, 1), 0.1, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(energy, x)
    # Each pair of neighbours is in two of the psi_j, each of which counts it for its own pixel alone.
    assert torch.allclose(2 * TrainableVariation(1, (0.1,))(x, weights, width), gradient)


def test_widths_are_in_units_of_the_level() -> None:
    prior = TrainableVariation(3, (0.1, 0.2))
    with torch.no_grad():
        prior.theta[0, 1] = -1
    weights, widths = (numbers.detach() for numbers in prior.numbers(torch.tensor([0.1, 0.2])))
    assert weights.shape == (3, 8, 2, 1, 1, 1)
    assert widths.shape == (3, 2, 1, 1, 1)
    assert torch.allclose(widths[0, 1], 2 * widths[0, 0])
    assert float(widths[1, 0]) == 0
