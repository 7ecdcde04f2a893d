import pytest
import torch

from restorekit.priors.centralised import centralised_threshold
from restorekit.priors.group import group_threshold
from restorekit.priors.neighbours import (
    SMALL,
    Grid,
    Neighbours,
    average_over_neighbours,
    find_neighbours,
    squared_distances,
)
from restorekit.priors.sparse import soft_threshold


@pytest.mark.parametrize("centre", [-0.8, 0.0, 0.6])
@pytest.mark.parametrize("pull", [0.0, 0.3, 0.9])
def test_the_centralised_threshold_is_the_prox_of_its_penalty(centre: float, pull: float) -> None:
    grid = torch.linspace(-4, 4, 80001, dtype=torch.float64)
    for point in (-2.3, -0.7, 0.1, 0.5, 1.4, 3.0):
        for threshold in (0.1, 0.5):
            penalty = threshold * (grid.abs() + pull * (grid - centre).abs())
            if centre == 0:  # The proposition leaves sign(0) = 0, where the penalty is (1 + gamma) |u|.
                penalty = threshold * (1 + pull) * grid.abs()
            brute = grid[(0.5 * (grid - point) ** 2 + penalty).argmin()]
            values = (torch.tensor([value], dtype=torch.float64) for value in (point, threshold, centre, pull))
            assert abs(float(brute) - float(centralised_threshold(*values))) < 2e-4


def test_the_group_threshold_is_the_prox_of_a_group_lasso_where_groups_are_hard() -> None:
    """Two groups of patches that are wholly alike: rows of the codes shrink by their norms (lemma 1)."""
    torch.manual_seed(0)
    codes = torch.randn(1, 7, 4, dtype=torch.float64)
    groups = ([0, 1, 4], [2, 3, 5, 6])
    expected = torch.empty_like(codes)
    similar, own = torch.empty_like(codes), torch.empty(1, 7, 1, dtype=torch.float64)
    for members in groups:
        size = len(members)
        norms = codes[:, members].square().sum(1, keepdim=True).sqrt()
        # lambda / sqrt|S| for the mean of energies is lambda for the sum.
        expected[:, members] = (1 - 0.9 * size**0.5 / norms).clamp_min(0) * codes[:, members]
        mean = codes[:, members].square().mean(1, keepdim=True)
        similar[:, members] = mean - codes[:, members].square() / size
        own[:, members] = 1 / size
    shrunk = group_threshold(codes, torch.tensor(0.9), similar, own, torch.ones(1))
    assert torch.allclose(shrunk, expected, atol=1e-6)


def test_without_a_share_the_group_threshold_is_soft() -> None:
    torch.manual_seed(0)
    codes = torch.randn(2, 9, 5)
    similar, own = torch.rand(2, 9, 5), torch.rand(2, 9, 1)
    shrunk = group_threshold(codes, torch.tensor(0.4), similar, own, torch.zeros(1))
    assert torch.allclose(shrunk, soft_threshold(codes, torch.tensor(0.4)), atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "cols", "stride"), [(1, 1, 1), (1, 7, 2), (5, 6, 3), (40, 35, 1), (36, 33, 2), (1, 1100, 3)]
)
def test_neighbours_are_other_patches_within_the_window(rows: int, cols: int, stride: int) -> None:
    torch.manual_seed(0)
    count = rows * cols
    neighbours = find_neighbours(torch.randn(1, count, 3), Grid(rows, cols, stride), 8)[0]
    assert neighbours.shape == (count, min(8, count - 1))
    if count > SMALL:
        across = (neighbours % cols - torch.arange(count)[:, None] % cols).abs() * stride
        assert int(across.max()) <= 24 + 16 * stride
    if rows > 1:
        assert not (neighbours == torch.arange(count)[:, None]).any()


def test_neighbours_are_much_nearer_than_others() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 900, 2)
    neighbours = find_neighbours(features, Grid(30, 30, 2), 24)
    distances = squared_distances(features, neighbours)
    nearest = torch.cdist(features, features).square()[0].sort(1).values[:, 1:25]
    assert float(distances.mean()) < 3 * float(nearest.mean())
    assert float(distances.mean()) < 0.1 * 4


def test_dense_and_sparse_averages_and_distances_agree() -> None:
    torch.manual_seed(0)
    features, values = torch.randn(2, 60, 5), torch.randn(2, 60, 4)
    neighbours = torch.stack([torch.stack([torch.randperm(60)[:12] for _ in range(60)]) for _ in range(2)])
    weights = torch.rand(2, 60, 12)
    dense = squared_distances(features, neighbours), average_over_neighbours(values, neighbours, weights)
    with torch.no_grad():
        sparse = squared_distances(features, neighbours), average_over_neighbours(values, neighbours, weights)
    for one, other in zip(dense, sparse, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_with_every_neighbour_kept_it_is_the_papers_dense_similarity() -> None:
    torch.manual_seed(0)
    similar = Neighbours(dimension=6, neighbours=29, refreshes=1, knots=(0.1,))
    patches, values, sigma = torch.randn(1, 30, 6) / 10, torch.randn(1, 30, 3), torch.tensor([0.1])
    with torch.no_grad():
        found = similar.update(None, patches, sigma, Grid(5, 6, 1), 0)
        average = found.near([values], slice(None)).averages[0] + found.own * values
        steepness = 1 / (2 * 6 * (0.35 * 0.1) ** 2)
        dense = torch.exp(-steepness * torch.cdist(patches, patches).square())
        expected = dense @ values / dense.sum(2, keepdim=True)
    assert torch.allclose(average, expected, atol=1e-5)


def test_similarities_are_averaged_as_they_are_renewed() -> None:
    torch.manual_seed(0)
    similar = Neighbours(dimension=6, neighbours=5, refreshes=2, knots=(0.1,))
    sigma, grid = torch.tensor([0.1]), Grid(5, 6, 1)
    first_patches, later_patches = torch.randn(2, 1, 30, 6) / 10
    with torch.no_grad():
        first = similar.update(None, first_patches, sigma, grid, 0)
        later = similar.update(first, later_patches, sigma, grid, 1)
        similar.nu[1] = 1e9
        renewed = similar.update(first, later_patches, sigma, grid, 1)
    mixed = torch.lerp(first.values, renewed.values, torch.tensor(1.0).sigmoid())
    assert torch.equal(later.neighbours, first.neighbours)
    assert torch.allclose(later.values, mixed, atol=1e-6)
