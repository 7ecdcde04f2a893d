import torch

from restorekit.train.soap import SOAP


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


def test_it_beats_adam_where_directions_are_scaled_unlike() -> None:
    assert loss_reached(0.03, matrices=True) < 0.5 * loss_reached(0.03, matrices=False)


def test_without_matrices_it_is_adam() -> None:
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
