from __future__ import annotations

from pathlib import Path

import pytest
import torch
from zoo_files import card, network, write_model

from restorekit.errors import WeightsError
from restorekit.zoo import load_model, save_weights


def test_the_network_is_the_one_that_was_saved(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.safetensors")
    model = load_model(path)
    assert (model.card, model.path) == (card(), path)
    noisy, sigma = torch.rand(1, 1, 8, 9), torch.tensor([0.05])
    for found, expected in zip(model.network(noisy, sigma), network()(noisy, sigma), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5)
        assert not found.requires_grad
    assert not model.network.training


def refusal(path: Path, tensors: dict[str, torch.Tensor], **changes: object) -> str:
    save_weights(path, tensors, card(**changes))
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_tensors_must_be_those_of_the_network(tmp_path: Path) -> None:
    path, tensors = tmp_path / "tiny.safetensors", network().state_dict()
    missing = {name: tensor for name, tensor in tensors.items() if name != "analysis"}
    assert "tensor 'analysis' is missing; the network needs dictionary" in refusal(path, missing)
    assert "tensor 'extra' is not part of the network" in refusal(path, {**tensors, "extra": torch.zeros(1)})
    shaped = {**tensors, "dictionary": torch.zeros(4, 9)}
    assert "tensor 'dictionary' has shape [4, 9]; the network on the model card needs [9, 4]" in refusal(path, shaped)


def test_the_card_must_describe_a_network(tmp_path: Path) -> None:
    path, tensors, settings = tmp_path / "tiny.safetensors", network().state_dict(), dict(card().settings)
    assert "unknown architecture 'u-net'" in refusal(path, tensors, architecture="u-net")
    assert "must be" in refusal(path, tensors, settings={})
    assert "tensor 'dictionary' has shape [9, 4]; the network on the model card needs [9, 8]" in refusal(
        path, tensors, settings={**settings, "atoms": 8}
    )
    assert "the model card says 3 channels, its settings 1" in refusal(path, tensors, channels=3)


@pytest.mark.parametrize("atoms", [10**9, 10**18, 10**40])
def test_impossible_sizes_are_refused_without_allocating(tmp_path: Path, atoms: int) -> None:
    settings = {**card().settings, "atoms": atoms}
    refusal(tmp_path / "tiny.safetensors", network().state_dict(), settings=settings)
