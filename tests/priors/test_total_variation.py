import torch

from restorekit.numerics.finite_differences import finite_differences, finite_differences_spectra
from restorekit.priors.total_variation import INERTIA, NEIGHBOURS, SplitVariation, shrunk


def test_shrinking_is_the_prox_of_the_length() -> None:
    grid = torch.linspace(-2, 2, 40001, dtype=torch.float64)
    for difference in (-1.3, -0.1, 0.0, 0.25, 0.9):
        prox = grid[(0.5 * (grid - difference) ** 2 + 0.3 * grid.abs()).argmin()]
        found = shrunk(torch.full((1, 1, 1), difference, dtype=torch.float64), torch.tensor(0.3))
        assert abs(float(found) - float(prox)) < 2e-4


def test_channels_are_shrunk_together() -> None:
    difference = torch.tensor([3.0, 4.0])[:, None, None]
    assert torch.allclose(shrunk(difference, torch.tensor(1.0)).flatten(), torch.tensor([2.4, 3.2]))


def test_a_step_solves_for_the_image_whose_differences_fit_best() -> None:
    generator = torch.Generator().manual_seed(1)
    x, dual = (torch.randn(*shape, 1, 1, 4, 7, generator=generator, dtype=torch.float64) for shape in ((), (4,)))
    weights = torch.rand(4, 1, 1, 1, 1, generator=generator, dtype=torch.float64)
    threshold = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)
    z, after, certainty = SplitVariation(1, (0.1,))(
        x, dual, finite_differences_spectra(x, NEIGHBOURS), weights, threshold, torch.tensor(0.9)
    )
    kept = shrunk(finite_differences(x, NEIGHBOURS) + dual, threshold)
    assert torch.allclose(after, dual + 0.9 * (finite_differences(x, NEIGHBOURS) - kept))

    def energy(image: torch.Tensor) -> torch.Tensor:
        misfit = (weights * (finite_differences(image, NEIGHBOURS) - kept + after).square()).sum()
        return misfit + INERTIA * (image - x).square().sum()

    gradient = torch.func.grad(energy)(z)
    assert gradient.abs().max() < 1e-10
    halved = torch.func.grad(energy)(z + x) / 2
    assert torch.allclose(torch.fft.fft2(halved), certainty * torch.fft.fft2(x), atol=1e-9)


def test_each_pixel_is_compared_with_all_around_it() -> None:
    around = {(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)} - {(0, 0)}
    assert {*NEIGHBOURS, *((-down, -right) for down, right in NEIGHBOURS)} == around


def test_thresholds_are_in_units_of_the_conditioning_and_grow_with_the_noise() -> None:
    prior = SplitVariation(3, (0.1, 0.2)).requires_grad_(False)
    prior.theta[0, 1] = -1
    prior.noise_share.fill_(0.5)
    weights, thresholds = prior.numbers(torch.tensor([0.1, 0.2, 0.2]), torch.tensor([0.0, 0.0, 0.4]))
    assert weights.shape == (3, 4, 3, 1, 1, 1)
    assert thresholds.shape == (3, 3, 1, 1, 1)
    assert torch.allclose(thresholds[0].flatten(), torch.tensor([0.1, 0.2, 0.4]))
    assert float(thresholds[1, 0]) == 0
