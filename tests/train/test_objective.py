"""The training loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restorekit.physics.base import Measurement
from restorekit.train.optimiser import NEGLIGIBLE, Objective
from restorekit.train.recipe import load_recipe
from tests.tiny import tiny_network


@pytest.mark.parametrize("loss", ["squared", "logarithmic"])
def test_the_loss_is_that_of_the_recipe(recipe_file: Path, loss: str) -> None:
    recipe = replace(load_recipe(str(recipe_file)), loss=loss)
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 1, 12, 12, generator=generator)
    sigma = torch.tensor([0.02, 0.1, 0.2])
    noise = torch.randn(clean.shape, generator=generator)
    noisy = clean + sigma[:, None, None, None] * noise
    measurement = Measurement(noisy, noisy, sigma, sigma)
    found, errors = Objective(tiny_network(), recipe)(measurement, clean, 1, generator)
    weights = (sigma * 255 / 25) ** -recipe.degradation.balance
    expected = (weights * errors).mean() if loss == "squared" else (errors + NEGLIGIBLE).log().mean()
    torch.testing.assert_close(found, expected)
