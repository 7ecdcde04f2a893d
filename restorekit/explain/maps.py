"""What can be drawn at every place of a window: how much a patch took, and how far patches agree."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit.explain.trajectory import Trajectory
from restorekit.patches import aggregate_patches, coverage, extract_patches


def atom_counts(trajectory: Trajectory) -> NDArray[np.int64]:
    """||alpha_i||_0, how many atoms each patch is made of: [rows, cols] of the patch grid."""
    counts: NDArray[np.int64] = torch.count_nonzero(trajectory.codes, 1).numpy()
    return counts.reshape(trajectory.grid.rows, trajectory.grid.cols)


def patch_spread(trajectory: Trajectory) -> NDArray[np.float32]:
    """sqrt(mean over the patches i that hold a pixel of (x_i - x)^2), x the mean of their estimates x_i: [h, w].

    In units of [0, 1]; of colours the square is averaged over the channels. Its square is what variance reduction
    penalises: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 1.
    """
    height, width = trajectory.observed.shape[-2:]
    size, stride = trajectory.patch_size, trajectory.grid.stride
    covered = coverage(height, width, size, stride)
    patches = trajectory.patches[None]
    mean = aggregate_patches(patches, height, width, size, stride) / covered
    deviations = (patches - extract_patches(mean, size, stride)).square()
    variance = (aggregate_patches(deviations, height, width, size, stride) / covered).mean(1)[0]
    spread: NDArray[np.float32] = variance.sqrt().numpy()
    return spread


def without_grid(spread: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """The root mean square of a spread [h, w] over squares of `stride` x `stride` pixels: [h, w].

    Pixels lie in more or fewer patches, and nearer to their borders or middles, by their place in the grid: a pattern
    that repeats itself after `stride` pixels, and says nothing of the picture.
    """
    from scipy.ndimage import uniform_filter

    # The filter keeps a running sum, which rounding may leave a little below nought.
    squares = uniform_filter(np.square(spread), stride, mode="nearest").clip(0)
    smooth: NDArray[np.float32] = np.sqrt(squares)
    return smooth


def errors_where_unsure(spread: NDArray[np.float32], error: NDArray[np.float32]) -> tuple[float, float]:
    """The root mean square of an error [h, w] over the fifth of the pixels with least spread, and with most."""
    order = np.argsort(spread, axis=None)
    fifth = max(1, order.size // 5)
    squares = np.square(error.reshape(-1)[order])
    return float(np.sqrt(squares[:fifth].mean())), float(np.sqrt(squares[-fifth:].mean()))
