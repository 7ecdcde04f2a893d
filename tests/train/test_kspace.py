"""Training for compressed sensing on the command line."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from restorekit.cli.app import make_app
from restorekit.train.data import load_split
from restorekit.zoo import load_model

RECIPE = """
name = "tiny-mri"
task = "cs-mri"
description = "for tests"
training_data = "random waves"
seed = 3
architecture = "{architecture}"

[settings]
channels = 2
{settings}
steps = 3
knots = [2, 6, 9]

[data]
crop = 16
batch = 2
strides = [2]
validation_every = 4
validation_crop = 16

[kspace]
low = 20
high = 60
noise = 5
balance = 2
validation = [30]

[optimiser]
steps = 2
matrix_rate = 1e-3
scalar_rate = 5e-3
warmup = 1
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.9

[safety]
check_every = 2
drop = 0.2
slow_down = 0.8
"""
PATCHES = "patch_size = 5\natoms = 8\nvariance = true"


@pytest.mark.parametrize(("architecture", "settings"), [("cs-tv", ""), ("cs-sc", PATCHES)])
def test_two_steps_leave_a_model_that_reconstructs(tmp_path, monkeypatch, architecture, settings) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("restorekit.train.loop.compile_module", lambda *_: False)
    (tmp_path / "tiny.toml").write_text(RECIPE.format(architecture=architecture, settings=settings))
    (tmp_path / "slices").mkdir()
    slices = 0.5 * np.random.default_rng(0).standard_normal((6, 2, 20, 18)).cumsum(2).cumsum(3) / 30
    np.save(tmp_path / "slices" / "slices.npy", slices.astype(np.float16))
    split = load_split(tmp_path / "slices", 2, 16, 4)
    assert (len(split.training), len(split.validation), len(split.chroma)) == (4, 2, 0)
    for arguments in (
        ["train", "tiny.toml", "--data", "slices", "--out", "run"],
        ["degrade", "kspace", "scan.png", "--simulate", "random:0.5", "-o", "k.npy"],
        ["cs-mri", "k.npy", "--model", "run/tiny-mri.safetensors", "-o", "x.npy"],
    ):
        if arguments[0] == "degrade":
            write_scan(tmp_path / "scan.png")
        result = CliRunner().invoke(make_app(), arguments)
        assert result.exit_code == 0, result.stderr
    assert np.isfinite(np.load("x.npy")).all()
    card = load_model(tmp_path / "run" / "tiny-mri.safetensors").card
    assert (card.task, card.channels, card.conditioning_range, card.steps) == ("cs-mri", 2, (20, 60), 2)


def write_scan(path) -> None:
    y, x = np.mgrid[:18, :20]
    Image.fromarray((127 + 100 * np.sin(x / 4) * np.cos(y / 3)).astype(np.uint8)).save(path)
