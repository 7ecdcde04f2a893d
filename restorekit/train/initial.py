"""What a run begins from: the numbers of another model, a dictionary, or those that its architecture has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from restorekit import zoo
from restorekit.errors import TrainingError
from restorekit.models import AnyNetwork, SparseCoding
from restorekit.train.dictionary import learn_dictionary
from restorekit.train.recipe import Recipe
from restorekit.train.revival import revive_blocks


def initialise(
    network: AnyNetwork,
    recipe: Recipe,
    images: Sequence[Tensor],
    probe: Callable[[], object],
    say: Callable[[str], None],
) -> None:
    """Set the numbers that `recipe` begins from.

    Args:
        network: built by the recipe.
        recipe: which names a warm start, or asks for a dictionary, or neither.
        images: training images, which a dictionary is learned on.
        probe: runs the network on some of them, which tells residual blocks that the warm start has lost.
        say: is told what takes time, and what is found.

    Raises:
        TrainingError: the warm start does not fit the network, or the network has no dictionary.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    if recipe.warm_start:
        source = zoo.load_model(zoo.find(recipe.warm_start)).network.to(next(network.parameters()).device)
        if not network.adopt(source):
            raise TrainingError(f"warm start {recipe.warm_start} has settings that do not fit the recipe")
        revived = revive_blocks(network, probe, generator)
        if revived:
            blocks = "1 residual block" if revived == 1 else f"{revived} residual blocks"
            say(f"{blocks} of {recipe.warm_start} changed next to nothing: begun anew")
        return
    if recipe.dictionary is None:
        return
    if not isinstance(network, SparseCoding):
        raise TrainingError(f"a network of {recipe.architecture} has no dictionary to learn at the start")
    say("learning the initial dictionary")
    settings = network.settings
    network.initialise(learn_dictionary(images, settings.patch_size, settings.atoms, recipe.dictionary, generator))
