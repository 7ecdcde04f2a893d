"""Fixed points of linear maps, which have a closed form."""

import torch

from restorekit.solvers.differentiation import anderson, repeat


def linear_map(eigenvalues, batch=2):
    """s -> s M + c with a symmetric M of these eigenvalues, and its fixed points [B, n]."""
    count = len(eigenvalues)
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(count, count, generator=generator, dtype=torch.float64))[0]
    matrix = basis * torch.as_tensor(eigenvalues, dtype=torch.float64) @ basis.T
    constant = torch.randn(batch, count, generator=generator, dtype=torch.float64)
    identity = torch.eye(count, dtype=torch.float64)
    return (lambda s: s @ matrix + constant), torch.linalg.solve(identity - matrix, constant.T).T


def test_both_find_the_fixed_point():
    function, expected = linear_map(torch.linspace(-0.8, 0.8, 12))
    for method in (repeat, anderson):
        found = method(function, torch.zeros_like(expected), tolerance=1e-12, most=300)
        torch.testing.assert_close(found.state, expected, rtol=1e-9, atol=1e-10)
        assert (found.iterations < 300).all()


def test_anderson_is_faster_where_repeating_is_slow():
    function, expected = linear_map(torch.linspace(0.0, 0.99, 12))
    slow, fast = (
        method(function, torch.zeros_like(expected), tolerance=1e-8, most=3000) for method in (repeat, anderson)
    )
    assert (fast.iterations < slow.iterations / 10).all()
    assert ((fast.state - expected).norm() < (slow.state - expected).norm()).all()


def test_anderson_finds_what_repeating_runs_away_from():
    function, expected = linear_map([-2.0, -0.5, 0.1, 0.3])
    found = anderson(function, torch.zeros_like(expected), tolerance=1e-10, most=50)
    torch.testing.assert_close(found.state, expected, rtol=1e-7, atol=1e-8)


def test_single_precision_is_enough():
    function, expected = linear_map(torch.linspace(0.0, 0.95, 30))
    in_double = anderson(function, torch.zeros_like(expected), tolerance=1e-4, most=100)

    def rounded(s):
        return function(s.double()).float()

    in_single = anderson(rounded, torch.zeros_like(expected).float(), tolerance=1e-4, most=100)
    assert ((in_single.state - expected).norm(dim=1) < 0.01 * expected.norm(dim=1)).all()
    assert (in_single.iterations <= in_double.iterations + 3).all()


def test_it_stays_finite_where_nothing_converges():
    generator = torch.Generator().manual_seed(0)

    def restless(s):
        return s + torch.randn(s.shape, generator=generator, dtype=s.dtype) * (1 + s.abs())

    start = torch.ones(2, 8, dtype=torch.float64)
    found = anderson(restless, start, tolerance=1e-6, most=20)
    assert found.iterations.tolist() == [20, 20]
    assert torch.isfinite(found.state).all()


def test_only_the_watched_part_decides():
    def step(s):
        return torch.stack((torch.ones_like(s[:, 0]), s[:, 1] + 1), 1)

    start = torch.ones(1, 2, dtype=torch.float64)
    assert repeat(step, start, tolerance=1e-3, most=40, watched=lambda s: s[:, :1]).iterations.tolist() == [1]
    assert repeat(step, start, tolerance=1e-3, most=40).iterations.tolist() == [40]


def test_no_iterations_leave_the_start():
    start = torch.ones(2, 3)
    for method in (repeat, anderson):
        found = method(lambda s: 2 * s, start, tolerance=1e-3, most=0)
        assert torch.equal(found.state, start)
        assert found.iterations.tolist() == [0, 0]
