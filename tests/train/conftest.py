from pathlib import Path

import numpy as np
import pytest

from restorekit.image import Metadata, Picture, write_picture

RECIPE = """
name = "tiny"
task = "denoise"
description = "for tests"
training_data = "random blocks"
seed = 3
architecture = "sparse-coding"

[settings]
channels = 1
patch_size = 5
atoms = 16
steps = 3
scales = 2
knots = [5, 25, 75]

[data]
crop = 17
batch = 2
strides = [1, 2]
validation_every = 4
validation_crop = 24

[noise]
low = 5
high = 75
power = 1.5
balance = 1.2
validation = [15, 50]

[dictionary]
patches = 400
passes = 1
sparsity = 0.1

[optimiser]
steps = 12
matrix_rate = 1e-3
scalar_rate = 5e-3
warmup = 3
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.99

[safety]
check_every = 4
drop = 0.2
slow_down = 0.8
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Eight grey pictures of random rectangles."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(8):
        pixels = np.zeros((40, 44), np.uint8)
        for _ in range(12):
            top, left = random.integers(0, 36), random.integers(0, 40)
            pixels[top : top + random.integers(4, 30), left : left + random.integers(4, 30)] = random.integers(256)
        place = folder / "more" if index % 2 else folder
        write_picture(place / f"{index}.png", Picture(pixels, Metadata("png")), overwrite=False)
    return folder
