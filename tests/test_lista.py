import torch

from restorekit.priors.sparse import soft_threshold, soft_threshold_
from restorekit.solvers.lista import lista, lista_in_place


def setting() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    dictionary = torch.randn(8, 12, dtype=torch.float64)
    return dictionary / torch.linalg.matrix_norm(dictionary, 2), torch.randn(1, 8, 5, dtype=torch.float64)


def objective(patches: torch.Tensor, dictionary: torch.Tensor, codes: torch.Tensor, weight: float) -> float:
    return float(0.5 * (patches - dictionary @ codes).square().sum() + weight * codes.abs().sum())


def test_without_learning_it_solves_the_lasso() -> None:
    dictionary, patches = setting()
    codes = lista(
        patches, dictionary, dictionary.T, torch.zeros(3000), lambda _, z: soft_threshold(z, torch.tensor(0.1))
    )
    correlation = dictionary.T @ (patches - dictionary @ codes)
    active = codes != 0
    assert torch.allclose(correlation[active], 0.1 * codes[active].sign(), atol=1e-6)
    assert float(correlation.abs().max()) <= 0.1 + 1e-6


def test_momentum_gets_further_in_as_many_steps() -> None:
    dictionary, patches = setting()
    reached = []
    for momentum in (torch.zeros(12), torch.full((12,), 0.6)):
        codes = lista(patches, dictionary, dictionary.T, momentum, lambda _, z: soft_threshold(z, torch.tensor(0.1)))
        reached.append(objective(patches, dictionary, codes, 0.1))
    assert reached[1] < reached[0]


def test_gradients_agree_with_finite_differences() -> None:
    dictionary, patches = setting()
    analysis = dictionary.T.clone().requires_grad_()
    dictionary.requires_grad_()
    momentum = torch.tensor([0.0, 0.0, 0.3, 0.5], dtype=torch.float64, requires_grad=True)

    def codes(dictionary: torch.Tensor, analysis: torch.Tensor, momentum: torch.Tensor) -> torch.Tensor:
        return lista(patches, dictionary, analysis, momentum, lambda _, z: soft_threshold(z, torch.tensor(0.1)))

    assert torch.autograd.gradcheck(codes, (dictionary, analysis, momentum))


def test_overwriting_changes_nothing_but_the_speed() -> None:
    dictionary, patches = setting()
    patches = patches.expand(3, -1, -1).clone()
    momentum = torch.tensor([0.0, 0.0, 0.3, 0.5, 0.6], dtype=torch.float64)
    thresholds = torch.rand(5, 3, 12, 1, dtype=torch.float64) / 10
    kept = patches.clone()
    plain = lista(patches, dictionary, dictionary.T, momentum, lambda k, z: soft_threshold(z, thresholds[k]))
    fast = lista_in_place(patches, dictionary, dictionary.T, momentum, lambda k, z: soft_threshold_(z, thresholds[k]))
    assert torch.allclose(plain, fast)
    assert torch.equal(patches, kept)
