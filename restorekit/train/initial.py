"""The initial dictionary of a patch model, learned from training patches."""

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
from restorekit.models.convolution import ResidualBlock, reinitialize
from restorekit.numerics.patches import extract_patches
from restorekit.train.data import random_crops
from restorekit.train.recipe import DictionarySettings, Recipe

LEAST_CONTRAST = 0.03
"""Root mean square contrast below which a patch teaches a dictionary nothing but noise."""


def learn_dictionary(
    images: Sequence[Tensor], patch_size: int, atoms: int, settings: DictionarySettings, generator: torch.Generator
) -> Tensor:
    """Min over D, a of 1/2 ||y - D a||^2 + sparsity ||a||_1 over centred patches y, ||d_j|| <= 1: [m, atoms].

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
        # A code that is not quite optimal is good enough for a dictionary that training changes anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        components: np.ndarray = learner.fit(patches.numpy()).components_
    return torch.from_numpy(components.T.astype(np.float32))


LEAST_CHANGE = 0.03
"""Lost blocks of trained networks were found to change their features by 1.5 % or less, all others by 10 % or more."""


@torch.no_grad()
def reinitialize_dead_blocks(network: nn.Module, restore: Callable[[], object], generator: torch.Generator) -> int:
    """Let residual blocks h + f(h) begin anew for which ||f(h)|| < 0.03 ||h|| while `restore` runs `network`; how many.

    A convolution without biases in front of a relu can come to be negative nearly wherever there is a picture. Its
    block then changes nothing to speak of. How often features are active is no measure: some are so seldom, and matter.
    """
    # Blocks that a shallower network did not have have yet to begin.
    blocks = [
        module for module in network.modules() if isinstance(module, ResidualBlock) and module.second.weight.any()
    ]
    if not blocks:
        return 0
    changes = dict.fromkeys(blocks, 0.0)
    features = dict.fromkeys(blocks, 0.0)

    def measure(block: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(block, ResidualBlock)
        changes[block] += float((output - inputs[0]).square().sum(dtype=torch.float64))
        features[block] += float(inputs[0].square().sum(dtype=torch.float64))

    hooks = [block.register_forward_hook(measure) for block in blocks]
    try:
        restore()
    finally:
        for hook in hooks:
            hook.remove()
    lost = [block for block in blocks if changes[block] < LEAST_CHANGE**2 * features[block]]
    for block in lost:
        reinitialize(block, generator)
    return len(lost)


def initialise(
    network: Reconstructor,
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
        if not network.load_compatible_weights(source):
            raise TrainingError(f"warm start {recipe.warm_start} has settings that do not fit the recipe")
        revived = reinitialize_dead_blocks(network, probe, generator)
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
