"""One run of a network over a window of an image: its steps, its atoms, its neighbours, and where it is sure."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.inference.runner import as_batch, as_pixels, inference
from restorekit.models import SparseCoding
from restorekit.numerics.metrics import psnr
from restorekit.numerics.patches import aggregate_patches, coverage, extract_patches
from restorekit.pages.figures import Region, most_detailed_window
from restorekit.priors.neighbours import Grid, Similarities
from restorekit.tasks import get_task
from restorekit.tasks.base import RestorationTrace, Task
from restorekit.zoo.selection import sparse_coding_of

Image = NDArray[np.float32]
LARGEST_WINDOW = 256
"""Pixels across. Every code of every patch is kept, so memory sets a bound."""


@dataclass(frozen=True)
class CodingTrace:
    """What the run of a sparse-coding network over a window leaves behind, on the CPU.

    observed: the window [B = 1, C, h, w]. estimates: the window after each step, likewise, not clamped. codes: the last
    alpha_i, [N, p]. means: the last mu_i, [N, 1]. atoms: the columns of W as rows, with their gains, [p, m].
    similarities: those of the last refresh; None if each patch is restored by itself. refresh: the steps before which
    similarities, targets and means are renewed.
    """

    observed: Tensor
    estimates: tuple[Tensor, ...]
    codes: Tensor
    means: Tensor
    atoms: Tensor
    similarities: Similarities | None
    refresh: tuple[int, ...]
    grid: Grid
    patch_size: int

    @property
    def patches(self) -> Tensor:
        """The estimate of each patch, W alpha_i + mu_i, [N, m]."""
        return self.codes @ self.atoms + self.means

    def region(self, patch: int) -> Region:
        """Return where a patch lies in the window."""
        row, col = divmod(patch, self.grid.cols)
        return Region(row * self.grid.stride, col * self.grid.stride, self.patch_size, self.patch_size)

    def patch_at(self, row: float, col: float) -> int:
        """Return the patch whose centre is nearest to a place of the window."""
        half, stride = (self.patch_size - 1) / 2, self.grid.stride
        row = min(max(round((row - half) / stride), 0), self.grid.rows - 1)
        return row * self.grid.cols + min(max(round((col - half) / stride), 0), self.grid.cols - 1)


@inference()
def trace_coding(
    network: SparseCoding, window: Tensor, conditioning: float, stride: int, mask: Tensor | None = None
) -> CodingTrace:
    """Run the network over a window [1, C, h, w] that the patches of one grid cover, and keep what it goes through.

    `mask` is 1 where a value was observed and 0 where it was interpolated, like the window; None if all were observed.
    """
    height, width = window.shape[-2:]
    covered = coverage(height, width, network.patch_size, stride, window.device)
    conditionings = torch.full((1,), conditioning, device=window.device)
    atoms = network.synthesis_at(conditionings)[0]
    estimates: list[Tensor] = []
    last: list[tuple[Tensor, Tensor]] = []

    def watch(_: int, codes: Tensor, means: Tensor) -> None:
        # A later step overwrites the codes, so the estimate is made now.
        sums = aggregate_patches(codes @ atoms + means, height, width, network.patch_size, stride)
        estimates.append((sums / covered).cpu())
        last[:] = [(codes[0], means[0])]

    run = network.watched(window, conditionings, stride, watch, mask)
    codes, means = (tensor.cpu() for tensor in last[0])
    similar = run.similarities
    if similar is not None:
        similar = Similarities(similar.neighbours.cpu(), similar.values.cpu(), similar.own.cpu())
    about = network.settings.refresh, run.grid, network.patch_size
    return CodingTrace(window.cpu(), tuple(estimates), codes, means, atoms.cpu(), similar, *about)


def region_around(row: int, col: int, shape: tuple[int, ...], network: SparseCoding, stride: int) -> Region:
    """Return the window to explain: at most `LARGEST_WINDOW` pixels across, with a place of the image near its middle.

    It begins on the grid of the whole image's patches and on the grids of the smaller scales, and ends where a patch
    ends: its patches are among those of the whole image. Raises UsageError if the image is smaller than a patch.
    """
    size = network.patch_size
    if min(shape[:2]) < size:
        raise UsageError(f"an image of {shape[1]}x{shape[0]} pixels is smaller than a patch ({size}x{size}) to explain")
    step = math.lcm(stride, 2 ** (network.settings.scales - 1))

    def span(centre: int, length: int) -> tuple[int, int]:
        start = min(max(centre - LARGEST_WINDOW // 2, 0), max(length - LARGEST_WINDOW, 0))
        start += -start % step
        extent = min(length - start, LARGEST_WINDOW)
        return start, extent - (extent - size) % stride

    (top, height), (left, width) = span(row, shape[0]), span(col, shape[1])
    return Region(top, left, height, width)


class Subject:
    """A picture to explain, and a run of its network over a window of it. All images have values about [0, 1].

    name: the picture's, for people. run: the whole image [H, W] or [H, W, 3] before and after. parameters: of that run,
    as `Restored` has them. clean: the whole image as it should be, where that is known. at: the pixel x, y that the
    window lies around; None for the middle of the most detailed place of the restored image. region: the window.
    observed, truth: the window before, and as it should be. coding: the run over it. estimates: the window after each
    step, clamped. patch: the one to take apart. is_whole: whether the patches of the window cover as much as those of
    the whole image.

    Raises UsageError if there is no such pixel, if the images differ in size or channels or are smaller than a patch,
    or if the network is not one of sparse coding.
    """

    def __init__(
        self,
        name: str,
        run: RestorationTrace,
        parameters: tuple[tuple[str, float | str], ...],
        clean: Image | None = None,
        at: tuple[int, int] | None = None,
    ) -> None:
        self.name, self.run, self.parameters, self.clean = name, run, parameters, clean
        self.network, whole = sparse_coding_of(run.model), run.observed
        self.task: Task[Any] = get_task(run.model.card.task)
        assert self.task.wording is not None
        self.wording = self.task.wording
        height, width = whole.shape[:2]
        if clean is not None and clean.shape != whole.shape:
            sizes = [f"{i.shape[1]}x{i.shape[0]} {'grey' if i.ndim == 2 else 'colour'}" for i in (clean, whole)]
            raise UsageError(f"the reference is {sizes[0]}, but the picture {sizes[1]}; they must be the same scene")
        if at is None:
            detail = most_detailed_window(run.restored, 3 * self.network.patch_size)
            at = detail.left + detail.width // 2, detail.top + detail.height // 2
        x, y = at
        if x >= width or y >= height:
            known = f"x is up to {width - 1}, y up to {height - 1}"
            raise UsageError(f"there is no pixel {x},{y} in {width}x{height}; {known}")
        self.region = region_around(y, x, whole.shape, self.network, run.stride)
        self.observed = self.region.cut(whole)
        self.truth = None if clean is None else self.region.cut(clean)
        device = self.network.dictionary.device
        mask = None if run.mask is None else as_batch(self.region.cut(run.mask), device)
        self.coding = trace_coding(self.network, as_batch(self.observed, device), run.conditioning, run.stride, mask)
        self.estimates = [as_pixels(estimate.clamp(0, 1), whole.ndim) for estimate in self.coding.estimates]
        self.patch = self.coding.patch_at(y - self.region.top, x - self.region.left)
        self.is_whole = max(height - self.region.height, width - self.region.width) < run.stride

    def score(self, estimate: Image) -> float | None:
        """Return the PSNR of an estimate of the window in dB; None where the truth is unknown."""
        return None if self.truth is None else psnr(estimate, self.truth)


def atom_counts(coding: CodingTrace) -> NDArray[np.int64]:
    """Return ||alpha_i||_0, how many atoms each patch is made of: [rows, cols] of the patch grid."""
    return np.asarray(torch.count_nonzero(coding.codes, 1).view(coding.grid.rows, coding.grid.cols))


def patch_spread(coding: CodingTrace) -> Image:
    """Return sqrt(mean over the patches i that hold a pixel of (x_i - x)^2), x the mean of their estimates x_i: [h, w].

    In units of [0, 1]; of colours the square is averaged over the channels. Its square is the penalty of variance
    reduction: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 1.
    """
    height, width = coding.observed.shape[-2:]
    size, stride = coding.patch_size, coding.grid.stride
    covered = coverage(height, width, size, stride)
    patches = coding.patches[None]
    mean = aggregate_patches(patches, height, width, size, stride) / covered
    deviations = (patches - extract_patches(mean, size, stride)).square()
    variance = aggregate_patches(deviations, height, width, size, stride) / covered
    return np.asarray(variance.mean(1)[0].sqrt())


def without_grid(spread: Image, stride: int) -> Image:
    """Return the root mean square of a spread [h, w] over squares of `stride` x `stride` pixels: [h, w].

    How many patches hold a pixel, and whether near their borders or middles, depends on its place in the grid. This
    makes a pattern that repeats itself after `stride` pixels and says nothing about the picture.
    """
    from scipy.ndimage import uniform_filter

    # The filter keeps a running sum, which rounding may leave a little below zero.
    return np.asarray(np.sqrt(uniform_filter(np.square(spread), stride, mode="nearest").clip(0)))


def errors_where_unsure(spread: Image, error: Image) -> tuple[float, float]:
    """Return the root mean square of an error [h, w] over the fifth of the pixels with least spread, and with most."""
    order = np.argsort(spread, axis=None)
    fifth = max(1, order.size // 5)
    squares = np.square(error.reshape(-1)[order])
    return float(np.sqrt(squares[:fifth].mean())), float(np.sqrt(squares[-fifth:].mean()))


def weights_of(coding: CodingTrace, patch: int) -> dict[int, float]:
    """Return a_ij = Sigma_ij / sum_l Sigma_il, the weights of a patch i and its neighbours j in their average.

    The patch comes first, then its neighbours, the most similar first. Without neighbours its weight is 1.
    """
    similar = coding.similarities
    if similar is None:
        return {patch: 1.0}
    own, found = similar.own[0, patch], similar.neighbours[0, patch].tolist()
    weights: dict[int, float] = {}
    # In a narrow window a neighbour may have been found more than once.
    for index, weight in zip(found, (similar.values[0, patch] * own).tolist(), strict=True):
        weights[index] = weights.get(index, 0.0) + weight
    return {patch: float(own), **dict(sorted(weights.items(), key=lambda item: -item[1]))}
