"""What a page explains: a picture, what became of it, and the part of it that is looked at closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restorekit.display.detail import most_detailed_window
from restorekit.errors import UsageError
from restorekit.explain.trajectory import Region, Trajectory, follow, region_around
from restorekit.explain.wording import WORDINGS, Wording
from restorekit.metrics import psnr
from restorekit.models import SparseCoding
from restorekit.restore.case import Case, Image, sparse_coding_of

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
    case: Case
    network: SparseCoding
    clean: Image | None
    region: Region
    trajectory: Trajectory
    estimates: tuple[Image, ...]
    patch: int

    @property
    def wording(self) -> Wording:
        """How to speak of its task."""
        return WORDINGS[self.case.model.card.task]

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
    name: str, case: Case, parameters: Parameters, clean: Image | None, at: tuple[int, int] | None
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
    trajectory = follow(network, _as_batch(region.cut(observed)), case.level, case.stride, mask)
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
