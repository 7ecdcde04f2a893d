"""What holds for every linear operator, whatever it does."""

import torch


def check_operator(physics, shape, seed=0):
    """Linearity, the adjoint, `prox_l2` against conjugate gradients, types and gradients, on images of a shape."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    x, other = draw(shape), draw(shape)
    y = draw(physics.A(x).shape)
    _check_linear(physics.A, x, other)
    _check_linear(physics.A_adjoint, y, draw(y.shape))
    inner = (physics.A(x) * y).sum()
    torch.testing.assert_close(inner, (x * physics.A_adjoint(y)).sum())
    gammas = torch.rand(shape[0], 1, 1, 1, generator=generator, dtype=torch.float64) + 0.01
    for gamma in (0.003, 2.0, gammas):
        expected = _conjugate_gradients(physics, x, y, gamma)
        torch.testing.assert_close(physics.prox_l2(x, y, gamma), expected, rtol=1e-6, atol=1e-8)
    _check_types(physics, x, y)


def _check_linear(operator, first, second):
    torch.testing.assert_close(operator(2 * first - 3 * second), 2 * operator(first) - 3 * operator(second))


def _conjugate_gradients(physics, z, y, gamma):
    """(A^T A + gamma)^-1 (A^T y + gamma z), each image by itself."""

    def normal(x):
        return physics.A_adjoint(physics.A(x)) + gamma * x

    def dot(a, b):
        return (a * b).flatten(1).sum(1).reshape(-1, 1, 1, 1)

    x = torch.zeros_like(z)
    residual = physics.A_adjoint(y) + gamma * z
    direction = residual
    for _ in range(2000):
        applied = normal(direction)
        step = dot(residual, residual) / dot(direction, applied)
        x = x + step * direction
        following = residual - step * applied
        if following.norm() < 1e-11 * z.norm():
            break
        direction = following + dot(following, following) / dot(residual, residual) * direction
        residual = following
    return x


def _check_types(physics, x, y):
    single = physics.prox_l2(x.float(), y.float(), 0.1)
    assert physics.A(x.float()).dtype == physics.A_adjoint(y.float()).dtype == single.dtype == torch.float32
    assert physics.A_adjoint(y).shape == single.shape == x.shape
    torch.testing.assert_close(single.double(), physics.prox_l2(x, y, 0.1), rtol=1e-4, atol=1e-4)
    gamma = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    z = x.clone().requires_grad_()
    physics.prox_l2(z, y, gamma).square().sum().backward()
    assert torch.isfinite(z.grad).all()
    assert gamma.grad != 0
