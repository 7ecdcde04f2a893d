"""Runs that begin from another model, of which something is lost, on pictures smaller than their crops."""

from pathlib import Path

import pytest
import torch

from restorekit import train, zoo
from restorekit.train import process as compiling

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
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)


def run(folder: Path, photographs: Path, blocks: int, warm_start: Path | None = None) -> tuple[Path, list[str]]:
    """The weights of two steps, and what was said."""
    folder.mkdir()
    begun = "" if warm_start is None else f'warm_start = "{warm_start}"\n'
    (folder / "recipe.toml").write_text(begun + RECIPE.format(blocks=blocks))
    said: list[str] = []
    recipe = train.load_recipe(str(folder / "recipe.toml"))
    result = train.run(recipe, photographs, folder / "run", report=lambda report: said.append(report.message))
    return result.weights, said


def test_a_block_that_the_warm_start_lost_begins_anew(photographs: Path, tmp_path: Path) -> None:
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
