"""ADMM on problems whose solution is known."""

from dataclasses import replace

import pytest
import torch

from restorekit.solvers.admm import Schedule, Splitting, admm


def smoothing(height, width):
    """Q of the prior 1/2 x^T Q x: the circular Laplacian, over pixels in reading order."""
    count = height * width
    q = torch.zeros(count, count, dtype=torch.float64)
    index = torch.arange(count).reshape(height, width)
    for shifted in (index.roll(1, 0), index.roll(1, 1)):
        edges = torch.zeros(count, count, dtype=torch.float64)
        edges[index.flatten(), index.flatten()] += 1
        edges[index.flatten(), shifted.flatten()] -= 1
        q += edges.T @ edges
    return q


def quadratic_problem(batch=2, height=4, width=5):
    """min 1/2 ||A x - y||^2 + 1/2 x^T Q x: the two proximal operators at rho, and the solution."""
    generator = torch.Generator().manual_seed(0)
    count = height * width
    a = torch.randn(count, count, generator=generator, dtype=torch.float64) / count**0.5
    y = torch.randn(batch, count, generator=generator, dtype=torch.float64)
    q = smoothing(height, width)
    identity = torch.eye(count, dtype=torch.float64)

    def solve(matrix, right):
        return torch.linalg.solve(matrix, right.flatten(1).T).T.reshape(-1, 1, height, width)

    def prox(z, rho):
        return solve(a.T @ a + rho.flatten()[0] * identity, y @ a + (rho * z).flatten(1))

    def denoiser_at(rho):
        return lambda x, sigma: solve(q + rho * identity, rho * x)

    return prox, denoiser_at, solve(a.T @ a + q, y @ a)


@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_with_a_linear_denoiser_it_converges_to_the_closed_form(rho):
    prox, denoiser_at, expected = quadratic_problem()
    schedule = constant_schedule(rho, 2000)
    solution = admm(denoiser_at(rho), prox, torch.zeros_like(expected), schedule, tol=1e-12)
    torch.testing.assert_close(solution.x, expected, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(solution.z, expected, rtol=1e-6, atol=1e-8)
    assert (solution.iterations < 2000).all()


def constant_schedule(rho, iterations):
    rhos = torch.full((iterations,), rho)
    return Schedule(torch.full((iterations,), 0.1), rhos, rhos[:1])


def halve(x, sigma):
    """A denoiser that pulls towards zero by its sigma."""
    return x * (1 - sigma.reshape(-1, 1, 1, 1))


def test_each_image_stops_by_itself():
    start = torch.ones(3, 1, 2, 2)
    sigmas = torch.tensor([0.5, 0.0005, 0.01])
    watched = []
    solution = admm(
        halve,
        lambda z, rho: z,
        start,
        Schedule(sigmas.expand(40, 3), torch.ones(40), torch.ones(1)),
        watch=watched.append,
    )
    assert solution.iterations.tolist() == [40, 1, 40]
    assert solution.x[1].mean() == pytest.approx(0.9995)
    assert [iteration.number for iteration in watched] == list(range(1, 41))
    assert watched[5].change[1] == 0
    alone = admm(halve, lambda z, rho: z, start[:1], Schedule(sigmas[:1].expand(40, 1), torch.ones(40), torch.ones(1)))
    assert torch.equal(alone.x[0], solution.x[0])


def test_it_stops_when_all_images_have_stopped():
    watched = []
    solution = admm(
        lambda x, sigma: x, lambda z, rho: z, torch.ones(2, 1, 2, 2), constant_schedule(1.0, 50), watch=watched.append
    )
    assert (len(watched), solution.iterations.tolist()) == (1, [1, 1])


def test_half_quadratic_splitting_has_no_dual_variable():
    prox, denoiser_at, expected = quadratic_problem()
    schedule = Splitting(5, first=0.2, last=1.0, weight=0.2, least_noise=0.0).schedule(0.01)
    assert not schedule.dual
    solution = admm(denoiser_at(1.0), prox, torch.zeros_like(expected), schedule, tol=0)
    x = z = torch.zeros_like(expected)
    for sigma, rho in zip(schedule.sigmas, schedule.rhos, strict=True):
        z = denoiser_at(1.0)(x, sigma)
        x = prox(z, rho.reshape(1, 1, 1, 1))
    assert torch.equal(solution.x, x)
    assert torch.equal(solution.z, z)
    assert solution.iterations.tolist() == [5, 5]


def test_sigmas_of_half_quadratic_splitting_fall_to_the_noise():
    splitting = Splitting(5, first=0.16, last=1.0, weight=0.25, least_noise=0.0)
    schedule = splitting.schedule(0.01)
    torch.testing.assert_close(schedule.sigmas, torch.tensor([0.16, 0.08, 0.04, 0.02, 0.01]))
    torch.testing.assert_close(schedule.rhos, 0.25 * torch.tensor([1 / 64, 1 / 16, 1 / 4, 1, 1]))
    assert replace(splitting, iterations=1).schedule(0.01).sigmas.tolist() == pytest.approx([0.16])


def test_gradients_reach_schedule_and_start():
    sigmas, rhos = (torch.full((4,), 0.1, requires_grad=True) for _ in range(2))
    start = torch.ones(1, 1, 2, 2, requires_grad=True)
    solution = admm(halve, lambda z, rho: (1 + rho * z) / (1 + rho), start, Schedule(sigmas, rhos, rhos[:1]))
    solution.x.sum().backward()
    assert all(torch.isfinite(leaf.grad).all() and (leaf.grad != 0).any() for leaf in (sigmas, rhos, start))
