import numpy as np
import torch

from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.priors.sparse import SparsePrior, soft_threshold


def test_soft_threshold_is_the_prox_of_the_absolute_value() -> None:
    grid = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    for point in (-2.0, -0.4, 0.0, 0.31, 1.7):
        for threshold in (0.0, 0.3, 1.0):
            brute = grid[(0.5 * (grid - point) ** 2 + threshold * grid.abs()).argmin()]
            code = soft_threshold(torch.tensor(point), torch.tensor(threshold))
            assert abs(float(brute) - float(code)) < 1e-4


def test_knots_interpolate_linearly_and_hold_outside() -> None:
    knots = (0.1, 0.2, 0.5)
    values = torch.tensor([[1.0, 10.0], [3.0, 30.0], [0.0, 0.0]])
    levels = torch.tensor([0.05, 0.1, 0.17, 0.2, 0.35, 0.5, 0.9])
    found = LevelInterpolation(knots)(values, levels)
    expected = np.interp(levels.numpy(), knots, values[:, 0].numpy())
    assert np.allclose(found[:, 0].numpy(), expected, atol=1e-6)
    assert torch.allclose(found[:, 1], 10 * found[:, 0], atol=1e-5)


def test_one_knot_is_a_model_for_a_single_level() -> None:
    hats = LevelInterpolation((0.1,)).hats(torch.tensor([0.0, 0.3]))
    assert torch.equal(hats, torch.ones(2, 1))


def test_thresholds_are_never_negative_and_grow_with_the_noise() -> None:
    prior = SparsePrior(atoms=4, steps=2, knots=(0.1, 0.2))
    with torch.no_grad():
        prior.theta[0, 0, 0] = -5
    thresholds = prior.thresholds(torch.tensor([0.1, 0.2])).detach()
    assert thresholds.shape == (2, 2, 1, 4)
    assert float(thresholds.min()) == 0
    assert torch.allclose(thresholds[1, 1], 2 * thresholds[1, 0])
