import torch

from restorekit.priors.base import Thresholds
from restorekit.priors.sparse import soft_threshold


def test_soft_threshold_is_the_prox_of_the_absolute_value() -> None:
    grid = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    for point in (-2.0, -0.4, 0.0, 0.31, 1.7):
        for threshold in (0.0, 0.3, 1.0):
            brute = grid[(0.5 * (grid - point) ** 2 + threshold * grid.abs()).argmin()]
            code = soft_threshold(torch.tensor(point), torch.tensor(threshold))
            assert abs(float(brute) - float(code)) < 1e-4


def test_thresholds_are_never_negative_and_grow_with_the_noise() -> None:
    thresholds = Thresholds(steps=2, atoms=4, knots=(0.1, 0.2))
    with torch.no_grad():
        thresholds.theta[0, 0, 0] = -5
    found = thresholds(torch.tensor([0.1, 0.2])).detach()
    assert found.shape == (2, 2, 1, 4)
    assert float(found.min()) == 0
    assert torch.allclose(found[1, 1], 2 * found[1, 0])
