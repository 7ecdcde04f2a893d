import numpy as np
import torch

from restorekit.numerics.level_interpolation import LevelInterpolation


def test_knots_interpolate_linearly_and_hold_outside() -> None:
    knots = (0.1, 0.2, 0.5)
    values = torch.tensor([[1.0, 10.0], [3.0, 30.0], [0.0, 0.0]])
    levels = torch.tensor([0.05, 0.1, 0.17, 0.2, 0.35, 0.5, 0.9])
    found = LevelInterpolation(knots)(values, levels)
    expected = np.interp(levels.numpy(), knots, values[:, 0].numpy())
    assert np.allclose(found[:, 0].numpy(), expected, atol=1e-6)
    assert torch.allclose(found[:, 1], 10 * found[:, 0], atol=1e-5)


def test_a_single_knot_makes_a_constant() -> None:
    hats = LevelInterpolation((0.1,)).hats(torch.tensor([0.0, 0.3]))
    assert torch.equal(hats, torch.ones(2, 1))
