"""The weights that a run begins from: a dictionary learned on training patches, or those of another model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restorekit import zoo
from restorekit.errors import MissingExtraError, TrainingError
from restorekit.models import Reconstructor, SparseCoding
from restorekit.models.convolutional import ResidualBlock, reinitialize
from restorekit.numerics.patches import extract_patches
from restorekit.train.data import random_crops
from restorekit.train.recipe import DictionarySettings, Recipe

LEAST_CONTRAST = 0.03
"""Root mean square contrast below which a patch teaches a dictionary nothing but noise."""
LEAST_CHANGE = 0.03
"""Dead blocks of trained networks were found to change their features by 1.5 % or less, all others by 10 % or more."""


def initialise(
    network: Reconstructor,
    recipe: Recipe,
    images: Sequence[Tensor],
    probe: Callable[[], object],
    say: Callable[[str], None],
) -> None:
    """Set the weights that `recipe` begins from: its warm start, or a dictionary learned on `images`, or neither.

    `probe` runs the network on some images, to find the dead blocks of a warm start.

    Raises:
        TrainingError: the warm start does not fit the network, or the network has no dictionary.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    if recipe.warm_start:
        source = zoo.load_model(zoo.find(recipe.warm_start)).network.to(next(network.parameters()).device)
        if not network.load_compatible_weights(source):
            raise TrainingError(f"warm start {recipe.warm_start} has settings that do not fit the recipe")
        if dead := reinitialize_dead_blocks(network, probe, generator):
            blocks = "1 residual block" if dead == 1 else f"{dead} residual blocks"
            say(f"{blocks} of {recipe.warm_start} changed next to nothing: begun anew")
    elif recipe.dictionary is not None:
        if not isinstance(network, SparseCoding):
            raise TrainingError(f"a network of {recipe.architecture} has no dictionary to learn at the start")
        say("learning the initial dictionary")
        sizes = network.settings.patch_size, network.settings.atoms
        network.initialise(learn_dictionary(images, *sizes, recipe.dictionary, generator))


def learn_dictionary(
    images: Sequence[Tensor], patch_size: int, atoms: int, settings: DictionarySettings, generator: torch.Generator
) -> Tensor:
    """Minimise 1/2 ||y - D a||^2 + sparsity ||a||_1 over D and a, for centred patches y and ||d_j|| <= 1: [m, atoms].

    Source: Mairal, Bach, Ponce and Sapiro, Online Dictionary Learning for Sparse Coding (2009), as scikit-learn has it.
    """
    try:
        from sklearn.decomposition import MiniBatchDictionaryLearning
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise MissingExtraError("training needs scikit-learn: pip install 'restorekit[train]'") from error
    crops = random_crops(images, patch_size, settings.patches, generator)
    patches = extract_patches(crops, patch_size)[:, 0]
    patches = patches - patches.mean(1, keepdim=True)
    patches = patches[patches.square().mean(1).sqrt() > LEAST_CONTRAST]
    if len(patches) < atoms:
        raise TrainingError(f"only {len(patches)} training patches have any contrast; {atoms} atoms need more images")
    learner = MiniBatchDictionaryLearning(
        atoms, alpha=settings.sparsity, batch_size=256, max_iter=settings.passes, fit_algorithm="cd", random_state=0
    )
    with warnings.catch_warnings():
        # Codes need not be optimal for a dictionary that training changes anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        components: np.ndarray = learner.fit(patches.numpy()).components_
    return torch.from_numpy(components.T.astype(np.float32))


@torch.no_grad()
def reinitialize_dead_blocks(network: nn.Module, restore: Callable[[], object], generator: torch.Generator) -> int:
    """Reinitialise residual blocks h + f(h) with ||f(h)|| < 0.03 ||h|| while `restore` runs; return their number.

    A convolution without biases in front of a relu can become negative nearly everywhere on natural images; its block
    then changes next to nothing. The share of active features is no measure: some are rarely active, and matter.
    """
    # A block that a shallower network did not have is still zero, and not dead.
    blocks = [
        module for module in network.modules() if isinstance(module, ResidualBlock) and module.second.weight.any()
    ]
    changes, features = dict.fromkeys(blocks, 0.0), dict.fromkeys(blocks, 0.0)

    def measure(block: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(block, ResidualBlock)
        changes[block] += float((output - inputs[0]).square().sum(dtype=torch.float64))
        features[block] += float(inputs[0].square().sum(dtype=torch.float64))

    hooks = [block.register_forward_hook(measure) for block in blocks]
    try:
        if blocks:
            restore()
    finally:
        for hook in hooks:
            hook.remove()
    dead = [block for block in blocks if changes[block] < LEAST_CHANGE**2 * features[block]]
    for block in dead:
        reinitialize(block, generator)
    return len(dead)
