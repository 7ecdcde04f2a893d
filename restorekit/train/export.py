"""From a run to a weights file that describes itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from restorekit import zoo
from restorekit._version import __version__
from restorekit.models import build, settings_json
from restorekit.train.recipe import Recipe


def export_weights(path: Path, recipe: Recipe, tensors: Mapping[str, Tensor], steps: int) -> None:
    """Write the weights of a run after `steps` steps, with the card of its recipe, not yet measured on any test set."""
    network = build(recipe.architecture, recipe.settings)
    architecture, settings = settings_json(network)
    card = zoo.ModelCard(
        name=recipe.name,
        architecture=architecture,
        settings=settings,
        task=recipe.task,
        channels=network.channels,
        level_range=recipe.degradation.level_range,
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        description=recipe.description,
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        training_data=recipe.training_data,
        steps=steps,
        package_version=__version__,
        licence="BSD-3-Clause",
    )
    zoo.save_weights(path, dict(tensors), card)
