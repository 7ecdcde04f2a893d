"""One run of a network over a window of an image, and all that it went through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.inference.runner import inference
from restorekit.models import SparseCoding
from restorekit.numerics.metrics import psnr
from restorekit.numerics.patches import aggregate_patches, coverage, extract_patches
from restorekit.pages.figures import most_detailed_window
from restorekit.priors.neighbours import Grid, Similarities
from restorekit.tasks import get_task
from restorekit.tasks.base import Image, RestorationTrace, Task, Wording
from restorekit.zoo.selection import sparse_coding_of

LARGEST_WINDOW = 256
"""Pixels across: every code of every patch is kept, so that memory sets a bound."""


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """That part of an image [H, W] or [H, W, C], a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Trajectory:
    """What a run left behind, on the CPU.

    observed: the window [B = 1, C, h, w]. estimates: the window after each step, likewise, not clamped. codes: alpha_i
    at the end, [N, p]. means: mu_i at the end, [N, 1]. atoms: the columns of W as rows, with their gains, [p, m].
    similarities: those of the last refresh; None if every patch was restored by itself. refresh: the steps before which
    similarities, targets and means were renewed.
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

    def corner(self, index: int) -> tuple[int, int]:
        """Row and column of a patch's first pixel in the window."""
        row, col = divmod(index, self.grid.cols)
        return row * self.grid.stride, col * self.grid.stride

    def patch_at(self, row: float, col: float) -> int:
        """The patch whose centre is nearest to a place of the window."""
        half, stride = (self.patch_size - 1) / 2, self.grid.stride
        row = min(max(round((row - half) / stride), 0), self.grid.rows - 1)
        return row * self.grid.cols + min(max(round((col - half) / stride), 0), self.grid.cols - 1)


@inference()
def follow(network: SparseCoding, window: Tensor, level: float, stride: int, mask: Tensor | None = None) -> Trajectory:
    """Run the network over a window [1, C, h, w], all of it covered by the patches of one grid, and watch.

    `mask` is 1 where a value was observed and 0 where it was interpolated, like the window; None if all were observed.
    """
    window = window.to(network.dictionary.device)
    mask = None if mask is None else mask.to(window)
    height, width = window.shape[-2:]
    covered = coverage(height, width, network.patch_size, stride, window.device)
    levels = torch.full((1,), level, device=window.device)
    atoms = network.synthesis_at(levels)[0]
    estimates: list[Tensor] = []
    last: list[tuple[Tensor, Tensor]] = []

    def watch(_: int, codes: Tensor, means: Tensor) -> None:
        # Codes are overwritten by the step after the next: what is needed of them is made now.
        sums = aggregate_patches(codes @ atoms + means, height, width, network.patch_size, stride)
        estimates.append((sums / covered).cpu())
        last[:] = [(codes[0], means[0])]

    run = network.watched(window, levels, stride, watch, mask)
    codes, means = last[0]
    similar = run.similarities
    return Trajectory(
        window.cpu(),
        tuple(estimates),
        codes.cpu(),
        means.cpu(),
        atoms.cpu(),
        None if similar is None else Similarities(similar.neighbours.cpu(), similar.values.cpu(), similar.own.cpu()),
        network.settings.refresh,
        run.grid,
        network.patch_size,
    )


def region_around(row: int, col: int, shape: tuple[int, ...], network: SparseCoding, stride: int) -> Region:
    """The region of at most `LARGEST_WINDOW` pixels across to explain, with a place of the image near its middle.

    Its patches are some of those that the whole image is restored by: it begins on their grid, and on that of the
    pixels at half size and smaller, and ends where a patch does.

    Raises:
        UsageError: an image smaller than a patch.
    """
    if min(shape[:2]) < network.patch_size:
        size = network.patch_size
        raise UsageError(f"an image of {shape[1]}x{shape[0]} pixels is smaller than a patch ({size}x{size}) to explain")
    step = math.lcm(stride, 2 ** (network.settings.scales - 1))
    top, height = _span(row, shape[0], network.patch_size, stride, step)
    left, width = _span(col, shape[1], network.patch_size, stride, step)
    return Region(top, left, height, width)


def _span(centre: int, length: int, patch_size: int, stride: int, step: int) -> tuple[int, int]:
    """Start and length."""
    start = min(max(centre - LARGEST_WINDOW // 2, 0), max(length - LARGEST_WINDOW, 0))
    start += -start % step
    extent = min(length - start, LARGEST_WINDOW)
    return start, extent - (extent - patch_size) % stride


Parameters = tuple[tuple[str, float | str], ...]


@dataclass(frozen=True)
class Subject:
    """All images are [H, W] or [H, W, 3], and those of the window [h, w] or [h, w, 3], with values about [0, 1].

    name: the picture's, for people. parameters: what was worked with, likewise. case: the whole image, before and
    after. clean: likewise, None where the truth is not known. region: the window in it. estimates: the window after
    each step, clamped. patch: the one to take apart, an index of the grid.
    """

    name: str
    parameters: Parameters
    case: RestorationTrace
    network: SparseCoding
    clean: Image | None
    region: Region
    trajectory: Trajectory
    estimates: tuple[Image, ...]
    patch: int

    @property
    def task(self) -> Task[Any]:
        """The task that the picture was restored by."""
        return get_task(self.case.model.card.task)

    @property
    def wording(self) -> Wording:
        """How to speak of its task."""
        wording = self.task.wording
        assert wording is not None
        return wording

    @property
    def observed(self) -> Image:
        """The window before."""
        return self.region.cut(self.case.observed)

    @property
    def is_whole(self) -> bool:
        """Whether the window is all of the image, but for a row or column beyond the last patch."""
        height, width = self.case.observed.shape[:2]
        left_out: int = max(height - self.region.height, width - self.region.width)
        return left_out < self.trajectory.grid.stride

    def score(self, estimate: Image) -> float | None:
        """PSNR of an estimate of the window, where the truth is known."""
        return None if self.clean is None else psnr(estimate, self.region.cut(self.clean))


def make_subject(
    name: str, case: RestorationTrace, parameters: Parameters, clean: Image | None, at: tuple[int, int] | None
) -> Subject:
    """Run the network once more, around a pixel, and watch.

    Args:
        name: the picture's, for people.
        case: what is to be explained.
        parameters: what was worked with, as `Restored` has it.
        clean: the whole image, where it is known.
        at: the pixel to look at, x and y; None is the middle of the most detailed place of what was restored.

    Raises:
        UsageError: there is no such pixel, the images differ in size or channels, or are smaller than a patch; or the
            network is none of sparse coding.

    """
    network, observed = sparse_coding_of(case.model), case.observed
    height, width = observed.shape[:2]
    if clean is not None and clean.shape != observed.shape:
        raise UsageError(
            f"the reference is {_size(clean)}, but the picture {_size(observed)}; they must be the same scene"
        )
    if at is None:
        detail = most_detailed_window(case.restored, 3 * network.patch_size)
        at = detail.left + detail.width // 2, detail.top + detail.height // 2
    x, y = at
    if x >= width or y >= height:
        raise UsageError(f"there is no pixel {x},{y} in {width}x{height}; x is up to {width - 1}, y up to {height - 1}")
    region = region_around(y, x, observed.shape, network, case.stride)
    mask = None if case.mask is None else _as_batch(region.cut(case.mask))
    trajectory = follow(network, _as_batch(region.cut(observed)), case.conditioning, case.stride, mask)
    estimates = tuple(_as_image(estimate.clamp(0, 1)) for estimate in trajectory.estimates)
    patch = trajectory.patch_at(y - region.top, x - region.left)
    return Subject(name, parameters, case, network, clean, region, trajectory, estimates, patch)


def _size(image: Image) -> str:
    return f"{image.shape[1]}x{image.shape[0]} {'grey' if image.ndim == 2 else 'colour'}"


def _as_batch(image: Image) -> Tensor:
    """[h, w] or [h, w, 3] as [1, C, h, w]."""
    planes = torch.from_numpy(np.ascontiguousarray(image))
    return planes[None, None] if image.ndim == 2 else planes.permute(2, 0, 1)[None].contiguous()


def _as_image(batch: Tensor) -> Image:
    """[1, C, h, w] as [h, w] or [h, w, 3]."""
    planes = batch[0]
    image: Image = (planes[0] if len(planes) == 1 else planes.permute(1, 2, 0)).numpy()
    return image


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


@dataclass(frozen=True)
class Neighbour:
    """A similar patch j. index: its place in the grid. share: a_ij = Sigma_ij / sum_l Sigma_il, of all that counts."""

    index: int
    share: float


def own_share(trajectory: Trajectory, patch: int) -> float:
    """a_ii, how much a patch counts in its own average: 1 where it is restored by itself."""
    similar = trajectory.similarities
    return 1.0 if similar is None else float(similar.own[0, patch, 0])


def neighbours_of(trajectory: Trajectory, patch: int) -> list[Neighbour]:
    """The similar patches of a patch, the most similar first, each once; none where it is restored by itself."""
    similar = trajectory.similarities
    if similar is None:
        return []
    shares: dict[int, float] = {}
    weights = similar.values[0, patch] * similar.own[0, patch]
    # In a narrow window a patch may have been found more than once.
    for index, weight in zip(similar.neighbours[0, patch].tolist(), weights.tolist(), strict=True):
        shares[index] = shares.get(index, 0.0) + weight
    return [Neighbour(index, share) for index, share in sorted(shares.items(), key=lambda item: -item[1])]
