"""Runs that begin from another model, some of whose blocks are dead, on pictures smaller than their crops."""

from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit import train, zoo
from restorekit.models.convolutional import Enlarger, EnlargerSettings, ResidualBlock
from restorekit.tasks.superres import DownsamplingSection
from restorekit.train import loop
from restorekit.train.loop import reinitialize_dead_blocks

RECIPE = """
name = "tiny-enlarger"
task = "superres"
description = "for tests"
training_data = "random blocks"
seed = 3
architecture = "enlarger"
loss = "logarithmic"

[settings]
channels = 1
width = 4
blocks = {blocks}

[data]
crop = 48
batch = 1
strides = [1]
validation_every = 4
validation_crop = 48
enlarge = 1.25

[downsampling]
noise = 1
balance = 0

[optimiser]
steps = 2
matrix_rate = 1e-3
scalar_rate = 1e-3
warmup = 1
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.99

[safety]
check_every = 2
drop = 3
slow_down = 0.8
"""


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop.shutil, "which", lambda name: None)


def run(folder: Path, photographs: Path, blocks: int, warm_start: Path | None = None) -> tuple[Path, list[str]]:
    """Return the weights after two steps, and the messages."""
    folder.mkdir()
    begun = "" if warm_start is None else f'warm_start = "{warm_start}"\n'
    (folder / "recipe.toml").write_text(begun + RECIPE.format(blocks=blocks))
    said: list[str] = []
    recipe = train.load_recipe(str(folder / "recipe.toml"))
    result = train.run(recipe, photographs, folder / "run", report=lambda report: said.append(report.message))
    return result.weights, said


def test_a_dead_block_of_the_warm_start_is_reinitialised(photographs: Path, tmp_path: Path) -> None:
    weights, said = run(tmp_path / "first", photographs, 2)
    assert not any("anew" in message for message in said)
    card, tensors = zoo.weights.load_weights(weights)
    tensors["blocks.1.first.weight"].zero_()
    zoo.weights.save_weights(tmp_path / "lost.safetensors", tensors, card)
    weights, said = run(tmp_path / "second", photographs, 3, tmp_path / "lost.safetensors")
    assert any("1 residual block of" in message and "anew" in message for message in said)
    tensors = zoo.weights.load_weights(weights)[1]
    for block in (1, 2):
        assert torch.count_nonzero(tensors[f"blocks.{block}.first.weight"]) > 100


def test_only_blocks_that_are_never_active_are_reinitialised() -> None:
    network = Enlarger(EnlargerSettings(1, 8, 3))
    clean = torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    measurement = DownsamplingSection(noise=0, balance=0).at(clean, 2, torch.Generator())
    alive, dead = network.blocks[0], network.blocks[1]
    assert isinstance(dead, ResidualBlock)
    features = network.head(measurement.y, measurement.sigma)
    with torch.no_grad():
        network.tails[0].weight.normal_(generator=torch.Generator().manual_seed(1))
        dead.first.weight.zero_()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    restored = network.reconstruct(measurement)
    assert (
        reinitialize_dead_blocks(network, lambda: network.reconstruct(measurement), torch.Generator().manual_seed(2))
        == 1
    )
    after = network.state_dict()
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed == {"blocks.1.first.weight", "blocks.1.second.weight"}
    torch.testing.assert_close(network.reconstruct(measurement), restored)
    assert (dead.first(alive(features)) > 0).float().mean() > 0.2
    assert (
        reinitialize_dead_blocks(network, lambda: network.reconstruct(measurement), torch.Generator().manual_seed(2))
        == 0
    )


def test_a_block_that_is_rarely_active_but_matters_is_kept() -> None:
    block = ResidualBlock(4)
    features = torch.zeros(1, 4, 20, 20)
    features[..., 7, 7] = 1
    with torch.no_grad():
        block.first.weight.copy_(-block.first.weight.abs())
        block.first.weight[0, :, 1, 1] = 5
    assert (block.first(features) > 0).float().mean() < 1e-3
    assert reinitialize_dead_blocks(nn.Sequential(block), lambda: block(features), torch.Generator()) == 0
