import torch

from restorekit.priors.sparse import soft_threshold
from restorekit.solvers.proximal_gradient import Operators, gradient_step


def setting(patches: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """A dictionary D^T of 12 atoms of 8 pixels, as rows, and patches as rows."""
    torch.manual_seed(0)
    dictionary = torch.randn(8, 12, dtype=torch.float64)
    dictionary = dictionary / torch.linalg.matrix_norm(dictionary, 2)
    return dictionary.T[None], torch.randn(1, patches, 8, dtype=torch.float64)


def codes_of(patches: torch.Tensor, operators: Operators, threshold: torch.Tensor) -> torch.Tensor:
    codes = previous = soft_threshold(patches @ operators.analysis, threshold)
    if not torch.is_grad_enabled():
        previous = codes.clone()
    for k in range(1, operators.momentum.numel()):
        point = gradient_step(k, patches, codes, previous, operators)
        previous, codes = codes, soft_threshold(point, threshold)
    return codes


def objective(patches: torch.Tensor, dictionary: torch.Tensor, codes: torch.Tensor, weight: float) -> float:
    return float(0.5 * (patches - codes @ dictionary).square().sum() + weight * codes.abs().sum())


def test_without_learning_it_solves_the_lasso() -> None:
    dictionary, patches = setting()
    codes = codes_of(patches, Operators(dictionary, dictionary.mT, torch.zeros(3000)), torch.tensor(0.1))
    correlation = (patches - codes @ dictionary) @ dictionary.mT
    active = codes != 0
    assert torch.allclose(correlation[active], 0.1 * codes[active].sign(), atol=1e-6)
    assert float(correlation.abs().max()) <= 0.1 + 1e-6


def test_momentum_gets_further_in_the_same_number_of_steps() -> None:
    dictionary, patches = setting()
    reached = []
    for momentum in (torch.zeros(12), torch.full((12,), 0.6)):
        codes = codes_of(patches, Operators(dictionary, dictionary.mT, momentum), torch.tensor(0.1))
        reached.append(objective(patches, dictionary, codes, 0.1))
    assert reached[1] < reached[0]


def test_gradients_agree_with_finite_differences() -> None:
    dictionary, patches = setting()
    analysis = dictionary.mT.clone().requires_grad_()
    dictionary.requires_grad_()
    momentum = torch.tensor([0.0, 0.0, 0.3, 0.5], dtype=torch.float64, requires_grad=True)

    def codes(dictionary: torch.Tensor, analysis: torch.Tensor, momentum: torch.Tensor) -> torch.Tensor:
        return codes_of(patches, Operators(dictionary, analysis, momentum), torch.tensor(0.1))

    assert torch.autograd.gradcheck(codes, (dictionary, analysis, momentum))


def test_overwriting_changes_nothing_but_the_speed() -> None:
    dictionary, patches = setting()
    momentum = torch.tensor([0.0, 0.0, 0.3, 0.5, 0.6], dtype=torch.float64)
    operators = Operators(dictionary, dictionary.mT, momentum)
    kept = patches.clone()
    plain = codes_of(patches, operators, torch.tensor(0.07))
    with torch.no_grad():
        fast = codes_of(patches, operators, torch.tensor(0.07))
    assert torch.allclose(plain, fast)
    assert torch.equal(patches, kept)


def test_values_without_confidence_do_not_matter() -> None:
    dictionary, patches = setting()
    operators = Operators(dictionary, dictionary.mT, torch.zeros(2))
    codes = torch.randn(1, 5, 12, dtype=torch.float64)
    mask = (torch.rand(1, 5, 8) > 0.5).double()
    other = patches + (1 - mask) * torch.randn_like(patches)
    first = gradient_step(1, patches, codes, codes, operators, mask)
    assert torch.allclose(first, gradient_step(1, other, codes, codes, operators, mask))
    assert not torch.allclose(first, gradient_step(1, patches, codes, codes, operators))
