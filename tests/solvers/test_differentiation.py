"""Fixed points of linear maps, and four ways to differentiate a repeated step on a small contraction."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd.graph import saved_tensors_hooks

from restorekit.solvers.differentiation import (
    DeepEquilibrium,
    Explicit,
    JacobianFree,
    Suppa,
    anderson,
    join,
    repeat,
    split,
)

CHANNELS, SIZE = 2, 5


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Contraction:
    """s -> tanh(gain conv(s) + bias): states of two channels x and two u, a bias for every image."""

    def __init__(self, batch=3, gain=0.5):
        weight = randn(2 * CHANNELS, 2 * CHANNELS, 3, 3)
        self.weight = (weight / weight.abs().sum((1, 2, 3)).max() * gain).requires_grad_()
        self.bias = randn(batch, 2 * CHANNELS, SIZE, SIZE, seed=1)
        self.clean = randn(batch, CHANNELS, SIZE, SIZE, seed=2)
        self.start = torch.zeros_like(self.bias)
        self.calls = []

    def __call__(self, k, state):
        self.calls.append(k)
        return torch.tanh(F.conv2d(state, self.weight, padding=1) + self.bias)

    def loss(self, mode, seed=0):
        unrolled = mode.unroll(self, self.start, torch.Generator().manual_seed(seed))
        errors = [(split(state)[0] - self.clean).square().mean() for state in unrolled.fitted]
        return torch.stack(errors).mean()

    def gradient(self, mode):
        return torch.autograd.grad(self.loss(mode), self.weight)[0]


def relaxation(value=0.7):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def test_a_state_is_x_and_u():
    x, u = randn(2, 3, 4, 5), randn(2, 3, 4, 5, seed=1)
    assert all(torch.equal(part, given) for part, given in zip(split(join(x, u)), (x, u), strict=True))


def test_all_explicit_steps_are_numbered_and_differentiated():
    step = Contraction()
    by_hand = step.start
    for k in range(4):
        by_hand = step(k, by_hand)
    expected = torch.autograd.grad((split(by_hand)[0] - step.clean).square().mean(), step.weight)[0]
    step.calls.clear()
    torch.testing.assert_close(step.gradient(Explicit(4)), expected)
    assert step.calls == [0, 1, 2, 3]
    assert Explicit(4).unroll(step, step.start, torch.Generator()).iterations.tolist() == [4, 4, 4]


def test_equilibrium_has_the_gradient_of_many_steps_and_of_finite_differences():
    step = Contraction(gain=0.9)
    mode = DeepEquilibrium(tol=1e-13, max_iter=200)
    gradient = step.gradient(mode)
    torch.testing.assert_close(gradient, step.gradient(Explicit(400)), rtol=1e-8, atol=1e-12)
    direction = randn(*step.weight.shape, seed=3)
    with torch.no_grad():
        weight, small = step.weight.clone(), 1e-5
        losses = []
        for sign in (1, -1):
            step.weight.copy_(weight + sign * small * direction)
            losses.append(float(step.loss(mode)))
    slope = (losses[0] - losses[1]) / (2 * small)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-7)


def test_equilibrium_differs_where_u_is_left_out():
    """The loss is of x alone, and yet the gradient that flows through u counts."""
    step = Contraction(gain=0.9)
    state = Explicit(400).unroll(step, step.start, torch.Generator()).state.detach()
    x, u = split(state)
    for _ in range(400):
        x = split(step(0, join(x, u)))[0]
    without = torch.autograd.grad((x - step.clean).square().mean(), step.weight)[0]
    gradient = step.gradient(DeepEquilibrium(tol=1e-13, max_iter=200))
    assert (gradient - without).norm() > 0.01 * gradient.norm()


def test_jacobian_free_is_the_gradient_of_one_step_from_the_fixed_point():
    step = Contraction()
    point = Explicit(200).unroll(step, step.start, torch.Generator()).state.detach()
    expected = torch.autograd.grad((split(step(0, point))[0] - step.clean).square().mean(), step.weight)[0]
    torch.testing.assert_close(step.gradient(JacobianFree(tol=1e-14, max_iter=200)), expected)


def test_suppa_is_the_paper_s_gradient():
    step, lmbda = Contraction(batch=1), relaxation()
    mode = Suppa(relaxation=lmbda, tol=0, max_iter=6)
    iterates = [step.start]
    for _ in range(6):
        iterates.append(step(0, iterates[-1]).detach())

    def gradients(*ks):
        """Of eq. 21, averaged over k, where x_k is given: eq. 22 and 23."""
        losses = []
        for k in ks:
            before, after = iterates[k], step(0, iterates[k])
            losses.append(((1 + lmbda) * split(after)[0] - lmbda * split(before)[0] - step.clean).square().mean())
        return torch.autograd.grad(sum(losses) / len(ks), (step.weight, lmbda))

    drawn = set()
    for seed in range(60):
        found = torch.autograd.grad(step.loss(mode, seed), (step.weight, lmbda))
        matches = [
            k
            for k in range(5)
            if all(torch.allclose(a, b, rtol=1e-9) for a, b in zip(found, gradients(5, k), strict=True))
        ]
        assert len(matches) == 1, "the last iterate and one earlier"
        drawn.update(matches)
    assert drawn == set(range(5))


def saved_bytes(mode, step):
    """What the graph of one loss keeps, each storage once."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = step.loss(mode)
    assert loss.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("mode", [DeepEquilibrium, JacobianFree, lambda *given: Suppa(*given, relaxation=relaxation())])
def test_memory_does_not_grow_with_the_iterations(mode):
    step = Contraction()
    few, many = (saved_bytes(mode(0, max_iter), step) for max_iter in (5, 50))
    assert few == many
    assert saved_bytes(Explicit(50), step) > 7 * saved_bytes(Explicit(5), step) > 0


@pytest.mark.parametrize("mode", [DeepEquilibrium(), JacobianFree(), Suppa(relaxation=relaxation())])
def test_each_image_stops_by_itself(mode):
    def towards(rates, target):
        return lambda k, state: state + rates[:, None, None, None] * (target - state)

    target, start = 1 + randn(3, 2, 3, 3).abs(), torch.ones(3, 2, 3, 3, dtype=torch.float64)
    rates = torch.tensor([0.02, 1.0, 0.5], dtype=torch.float64)
    together = mode.unroll(towards(rates, target), start, torch.Generator().manual_seed(0))
    assert together.iterations[1] == 3  # the step that arrives, the one that sees it, and the one with gradients
    assert len(set(together.iterations.tolist())) > 1
    for image in range(3):
        part = slice(image, image + 1)
        alone = mode.unroll(towards(rates[part], target[part]), start[part], torch.Generator().manual_seed(0))
        assert alone.iterations == together.iterations[image]
        torch.testing.assert_close(alone.state, together.state[part], rtol=1e-12, atol=0)


@pytest.mark.parametrize("mode", [Explicit(), DeepEquilibrium(), JacobianFree(), Suppa(relaxation=relaxation())])
def test_without_gradients_the_state_is_the_same(mode):
    step = Contraction()
    unrolled = mode.unroll(step, step.start, torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = mode.unroll(step, step.start, torch.Generator().manual_seed(0))
    assert torch.equal(restored.state, unrolled.state)
    assert restored.iterations.tolist() == unrolled.iterations.tolist()
    assert len(restored.fitted) == 1
    assert torch.equal(restored.fitted[0], restored.state)


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
        found = method(function, torch.zeros_like(expected), tol=1e-12, max_iter=300)
        torch.testing.assert_close(found.state, expected, rtol=1e-9, atol=1e-10)
        assert (found.iterations < 300).all()


def test_anderson_is_faster_where_repeating_is_slow():
    function, expected = linear_map(torch.linspace(0.0, 0.99, 12))
    slow, fast = (
        method(function, torch.zeros_like(expected), tol=1e-8, max_iter=3000) for method in (repeat, anderson)
    )
    assert (fast.iterations < slow.iterations / 10).all()
    assert ((fast.state - expected).norm() < (slow.state - expected).norm()).all()


def test_anderson_converges_where_repeating_diverges():
    function, expected = linear_map([-2.0, -0.5, 0.1, 0.3])
    found = anderson(function, torch.zeros_like(expected), tol=1e-10, max_iter=50)
    torch.testing.assert_close(found.state, expected, rtol=1e-7, atol=1e-8)


def test_single_precision_is_enough():
    function, expected = linear_map(torch.linspace(0.0, 0.95, 30))
    in_double = anderson(function, torch.zeros_like(expected), tol=1e-4, max_iter=100)

    def rounded(s):
        return function(s.double()).float()

    in_single = anderson(rounded, torch.zeros_like(expected).float(), tol=1e-4, max_iter=100)
    assert ((in_single.state - expected).norm(dim=1) < 0.01 * expected.norm(dim=1)).all()
    assert (in_single.iterations <= in_double.iterations + 3).all()


def test_it_stays_finite_where_nothing_converges():
    generator = torch.Generator().manual_seed(0)

    def restless(s):
        return s + torch.randn(s.shape, generator=generator, dtype=s.dtype) * (1 + s.abs())

    start = torch.ones(2, 8, dtype=torch.float64)
    found = anderson(restless, start, tol=1e-6, max_iter=20)
    assert found.iterations.tolist() == [20, 20]
    assert torch.isfinite(found.state).all()


def test_only_the_watched_part_decides():
    def step(s):
        return torch.stack((torch.ones_like(s[:, 0]), s[:, 1] + 1), 1)

    start = torch.ones(1, 2, dtype=torch.float64)
    assert repeat(step, start, tol=1e-3, max_iter=40, watched=lambda s: s[:, :1]).iterations.tolist() == [1]
    assert repeat(step, start, tol=1e-3, max_iter=40).iterations.tolist() == [40]


def test_zero_iterations_return_the_start():
    start = torch.ones(2, 3)
    for method in (repeat, anderson):
        found = method(lambda s: 2 * s, start, tol=1e-3, max_iter=0)
        assert torch.equal(found.state, start)
        assert found.iterations.tolist() == [0, 0]
