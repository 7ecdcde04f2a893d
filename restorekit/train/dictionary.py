"""The initial dictionary of a patch model, learned from training patches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from restorekit.errors import MissingExtraError, TrainingError
from restorekit.patches import extract_patches
from restorekit.train.data import random_crops
from restorekit.train.recipe import DictionarySettings

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
