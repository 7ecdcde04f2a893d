"""Training for linear inverse problems: runs of an unrolled ADMM."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit import train, zoo
from restorekit.errors import DatasetError, MissingExtraError, TrainingError
from restorekit.models import UnrolledADMM
from restorekit.train import loop as compiling
from restorekit.train.checkpoint import GROUPS, load_checkpoint
from restorekit.train.data import load_split, random_crops

RECIPE = """
name = "tiny-deblur"
task = "deblur"
description = "for tests"
training_data = "random blocks"
seed = 3
architecture = "unrolled-admm"

[settings]
mode = "suppa"
iterations = 5
knots = [1, 10]
dual = true
first = 15
last = 0
weight = 1

[settings.denoiser]
architecture = "sparse-coding"

[settings.denoiser.settings]
channels = 1
patch_size = 5
atoms = 16
steps = 3
knots = [5, 25, 75]

[data]
crop = 21
batch = 2
strides = [1, 2]
validation_every = 4
validation_crop = 24
margin = 3

[blur]
low = 1
high = 10
power = 1
narrow = 0.8
wide = 1.2
longest = 5
balance = 0.4
validation = [2.55]

[optimiser]
steps = 6
matrix_rate = 1e-3
scalar_rate = 5e-3
warmup = 2
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.99

[safety]
check_every = 3
drop = 0.2
slow_down = 0.8
"""


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)


@pytest.fixture
def recipe(tmp_path: Path, recipe_file: Path, photographs: Path) -> train.Recipe:
    """A recipe that begins from a denoiser, of which one step has been trained."""
    denoiser = train.load_recipe(str(recipe_file))
    settings = {**denoiser.settings, "scales": 1}
    first = train.run(replace(denoiser, settings=settings), photographs, tmp_path / "denoiser", max_minutes=1e-6)
    path = tmp_path / "tiny-deblur.toml"
    path.write_text(f'warm_start = "{first.weights}"\n{RECIPE}')
    return train.load_recipe(str(path))


def interrupt_at(step: int):
    def report(report: train.TrainingReport) -> None:
        if report.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


@pytest.mark.slow
def test_a_run_begins_from_a_denoiser_and_resumes_exactly(
    recipe: train.Recipe, photographs: Path, tmp_path: Path
) -> None:
    whole = train.run(recipe, photographs, tmp_path / "whole")
    assert whole.finished
    train.run(recipe, photographs, tmp_path / "parts", report=interrupt_at(3))
    assert train.run(recipe, photographs, tmp_path / "parts", resume=True).finished
    checkpoints = [load_checkpoint(tmp_path / name) for name in ("whole", "parts")]
    for group in GROUPS:
        found, expected = (getattr(checkpoint, group) for checkpoint in checkpoints)
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor), (group, name)
    trained, begun = zoo.load_model(whole.weights), zoo.load_model(Path(recipe.warm_start))
    assert (trained.card.task, trained.card.conditioning_range) == ("deblur", (0.0, 10.0))
    assert isinstance(trained.network, UnrolledADMM)
    # Six steps at the rate of the other scalars would have come to 0.03 at most.
    assert abs(float(trained.network.relaxation) - 1) > 0.04
    before, after = begun.network.state_dict()["dictionary"], trained.network.denoiser.state_dict()["dictionary"]
    assert 0 < float((after - before).abs().max()) < 0.1
    assert trained.network.relaxation != 1


@pytest.mark.parametrize("mode", ["explicit", "deq", "jfb"])
def test_every_mode_takes_steps(recipe: train.Recipe, photographs: Path, tmp_path: Path, mode: str) -> None:
    settings = {**recipe.settings, "mode": mode}
    result = train.run(replace(recipe, settings=settings), photographs, tmp_path / mode, report=interrupt_at(2))
    assert result.interrupted
    assert np.isfinite(result.best_psnr)


def test_any_network_learns_from_any_measurement(
    recipe: train.Recipe, recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    noise = train.load_recipe(str(recipe_file))
    for name, mixed in (
        ("admm", replace(recipe, degradation=noise.degradation)),
        ("patches", replace(noise, degradation=recipe.degradation)),
    ):
        result = train.run(mixed, photographs, tmp_path / name, report=interrupt_at(2))
        assert result.step == 2
        assert 10 < result.best_psnr < 60


def test_a_network_without_a_dictionary_cannot_begin_from_one(
    recipe: train.Recipe, recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    dictionary = train.load_recipe(str(recipe_file)).dictionary
    with pytest.raises(TrainingError, match="no dictionary to learn"):
        train.run(replace(recipe, warm_start="", dictionary=dictionary), photographs, tmp_path / "run")


def test_slices_are_read_as_they_are_or_by_their_magnitude(tmp_path: Path, photographs: Path) -> None:
    parts = np.random.default_rng(0).normal(0, 0.2, (3, 2, 20, 22)).astype(np.float16)
    np.save(photographs / "slices.npy", parts)
    split = load_split(photographs, channels=2, least_size=17, validation_every=100)
    images = split.validation + split.training
    assert sorted({image.dtype for image in images}, key=str) == [torch.float16, torch.uint8]
    assert all(image.shape[0] == 2 for image in images)
    (crop,) = random_crops([torch.from_numpy(parts[0])], 20, 1, torch.Generator().manual_seed(0))
    assert torch.isin(crop, torch.from_numpy(parts[0]).float()).all()
    grey = load_split(photographs, channels=1, least_size=17, validation_every=100).training[-1]
    np.testing.assert_allclose(grey[0], np.hypot(*parts[-1].astype(np.float32)), atol=1e-3)
    (tmp_path / "slices").mkdir()
    np.save(tmp_path / "slices" / "slices.npy", parts)
    with pytest.raises(DatasetError, match="no colours"):
        load_split(tmp_path / "slices", channels=3, least_size=17, validation_every=100)
    np.save(photographs / "slices.npy", parts[0])
    with pytest.raises(DatasetError, match=r"slices\.npy: .*float16"):
        load_split(photographs, channels=2, least_size=17, validation_every=100)


def test_without_matplotlib_no_run_begins(
    recipe: train.Recipe, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"restorekit\[train\]"):
        train.run(recipe, photographs, tmp_path / "run")
    assert not (tmp_path / "run").exists()
