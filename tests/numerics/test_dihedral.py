"""The eight symmetries, their inverses, and estimates averaged over them."""

import pytest
import torch

from restorekit.inference.runner import RunSettings, restore_array
from restorekit.models.convolutional import UNet, UNetSettings
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, dihedral, dihedral_inverse, mean_over_dihedral
from restorekit.types import Quality


def images():
    return torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


def test_the_eight_symmetries_differ_and_are_inverted():
    seen = {tuple(dihedral(images(), turn).flatten().tolist()) for turn in range(DIHEDRAL_VIEWS)}
    assert len(seen) == DIHEDRAL_VIEWS
    for turn in range(DIHEDRAL_VIEWS):
        assert torch.equal(dihedral_inverse(dihedral(images(), turn), turn), images())


def test_the_mean_of_estimates_has_no_direction():
    def shifted(y):
        return mean_over_dihedral(lambda turn: dihedral(y, turn).roll((1, 0), (-2, -1)))

    torch.testing.assert_close(mean_over_dihedral(lambda turn: dihedral(images(), turn)), images())
    torch.testing.assert_close(shifted(dihedral(images(), 5)), dihedral(shifted(images()), 5))


@pytest.mark.parametrize("tile", [None, 32])
def test_a_network_without_strides_averages_over_all_symmetries_at_best(tile):
    torch.manual_seed(0)
    network = UNet(UNetSettings(1, (8, 8), 1)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.tail.weight, std=0.05)
    noisy = images()[0, 0].repeat(8, 8).numpy()

    def estimates(quality):
        settings = RunSettings(quality, "cpu", tile)
        upright, upside_down = (restore_array(y, 0.1, network, settings)[0] for y in (noisy, noisy[::-1]))
        return upright, upside_down[::-1]

    once, best = estimates(Quality.BALANCED), estimates(Quality.BEST)
    assert abs(once[0] - once[1]).max() > 1e-3
    torch.testing.assert_close(torch.tensor(best[0]), torch.tensor(best[1].copy()), atol=1e-5, rtol=0)


def test_cells_lie_alike_in_every_view_of_an_odd_image(monkeypatch):
    """So do blocks of JPEG, which begin at the top left: dihedral, they would otherwise lie across the cells."""
    network, seen = UNet(UNetSettings(1, (8, 8), 1)).eval().requires_grad_(False), []
    forward = network.forward

    def spied(observed, *rest, **options):
        seen.append(observed)
        return forward(observed, *rest, **options)

    monkeypatch.setattr(network, "forward", spied)
    odd = images()[0, 0].repeat(9, 7)
    best, _ = restore_array(odd.numpy(), 0.1, network, RunSettings(Quality.BEST, "cpu"))
    assert best.shape == odd.shape == (45, 49)
    windows = [(rows, cols) for rows in (slice(44), slice(25, 45)) for cols in (slice(48), slice(29, 49))]
    assert len(seen) == DIHEDRAL_VIEWS * len(windows)
    for call, observed in enumerate(seen):
        upright = dihedral_inverse(observed, call // len(windows))
        assert torch.equal(upright[0, 0], odd[windows[call % len(windows)]])
