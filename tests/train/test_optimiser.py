"""SOAP for matrices, Muon for kernels, Adam for the rest."""

import torch

from restorekit.train.optimiser import SOAP, orthogonalised


def loss_reached(rate: float, matrices: bool) -> float:
    """Loss after 300 steps on || A (X - T) B ||^2 with condition numbers of 100."""
    torch.manual_seed(0)
    left = torch.linalg.qr(torch.randn(12, 12))[0] * torch.logspace(0, -2, 12)
    right = torch.linalg.qr(torch.randn(20, 20))[0] * torch.logspace(0, -2, 20)
    target = torch.randn(12, 20)
    solution = torch.zeros(12, 20, requires_grad=True)
    optimiser = SOAP([{"params": [solution], "matrices": matrices, "lr": rate}], (0.9, 0.99), 1e-8)
    for _ in range(300):
        optimiser.zero_grad()
        loss = (left.T @ (solution - target) @ right).square().sum()
        loss.backward()
        optimiser.step()
    return loss.item()


def test_matrices_converge_faster_than_with_adam_when_badly_conditioned() -> None:
    assert loss_reached(0.03, matrices=True) < 0.5 * loss_reached(0.03, matrices=False)


def test_other_tensors_get_plain_adam() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(7), torch.randn(5, 7)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    soap = SOAP([{"params": [ours], "lr": 0.01}], (0.9, 0.99), 1e-8)
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99), eps=1e-8)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        soap.step()
        adam.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_orthogonalised_kernels_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((24, 6, 3, 3), (64, 3, 3, 3), (8, 8, 1, 1)):
        basis, _, other = torch.linalg.svd(torch.randn(shape).flatten(1), full_matrices=False)
        spread = torch.logspace(0, -1.5, len(other))
        turned = orthogonalised((basis * spread @ other).reshape(shape)).flatten(1)
        outputs, inputs = turned.shape
        values = torch.linalg.svdvals(turned) / max(1, outputs / inputs) ** 0.5
        assert ((values > 0.6) & (values < 1.3)).all()
        assert torch.allclose(basis.T @ turned @ other.T, torch.diag(torch.diag(basis.T @ turned @ other.T)), atol=1e-3)
    assert torch.equal(orthogonalised(torch.zeros(4, 2, 3, 3)), torch.zeros(4, 2, 3, 3))


def test_a_batch_of_gradients_is_orthogonalised_like_each_alone() -> None:
    torch.manual_seed(0)
    for shape in ((3, 24, 6, 3, 3), (2, 64, 3, 3, 3), (4, 8, 8, 1, 1)):
        gradients = torch.randn(shape) * torch.logspace(-3, 3, shape[0])[:, None, None, None, None]
        each = torch.stack([orthogonalised(gradient) for gradient in gradients])
        assert torch.allclose(orthogonalised(gradients), each, atol=1e-5)


def test_a_vanishing_gradient_makes_no_step() -> None:
    torch.manual_seed(0)
    for scale in (1e-15, 1e-25, 1e-38):
        assert orthogonalised(scale * torch.randn(4, 2, 3, 3)).abs().max() < 1e-2
    gradient = torch.randn(4, 2, 3, 3)
    assert torch.allclose(orthogonalised(1e-11 * gradient), orthogonalised(gradient), atol=1e-4)


def test_kernels_of_one_shape_step_together_and_one_without_a_gradient_stays() -> None:
    torch.manual_seed(0)
    shapes = (4, 2, 3, 3), (4, 2, 3, 3), (6, 4, 3, 3), (4, 2, 3, 3)
    together = [torch.randn(shape, requires_grad=True) for shape in shapes]
    alone = [kernel.detach().clone().requires_grad_() for kernel in together]
    settings = (0.9, 0.99), 1e-8
    one = SOAP([{"params": together, "kernels": True, "lr": 0.1}], *settings)
    others = [SOAP([{"params": [kernel], "kernels": True, "lr": 0.1}], *settings) for kernel in alone]
    for _ in range(3):
        for kernel, same in zip(together[:-1], alone[:-1], strict=True):
            kernel.grad = torch.randn(kernel.shape)
            same.grad = kernel.grad.clone()
        for optimiser in (one, *others):
            optimiser.step()
    for kernel, same in zip(together, alone, strict=True):
        assert torch.allclose(kernel, same, atol=1e-5)
    assert not one.state[together[-1]]


def test_kernels_follow_their_orthogonalised_momentum() -> None:
    torch.manual_seed(0)
    kernel, gradient = torch.zeros(4, 2, 3, 3, requires_grad=True), torch.randn(4, 2, 3, 3)
    optimiser = SOAP([{"params": [kernel], "kernels": True, "lr": 0.1}], (0.9, 0.99), 1e-8)
    for _ in range(2):
        kernel.grad = gradient.clone()
        optimiser.step()
    assert torch.allclose(kernel, -0.2 * orthogonalised(gradient), atol=1e-3)
