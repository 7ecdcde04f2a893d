"""How the iterations on one picture went."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.metrics import psnr
from restorekit.restore.engine import as_pixels


@dataclass
class Trajectory:
    """What is seen of each iteration on one picture; an instance is a `plug_and_play.Watch`.

    reference: the clean picture, [H, W] or [H, W, C] in [0, 1], if known. residuals: ||x_k+1 - x_k|| / ||x_k||. psnrs:
    of the result so far against the reference, in dB; as many, or none.
    """

    reference: NDArray[np.float32] | None = None
    residuals: list[float] = field(default_factory=list)
    psnrs: list[float] = field(default_factory=list)

    def __call__(self, estimates: Tensor, change: float) -> None:
        """Take down one iteration. Raises UsageError if the reference is of another shape than the result."""
        self.residuals.append(change)
        if self.reference is None:
            return
        estimate = as_pixels(estimates, 2 if estimates.shape[1] == 1 else 3)
        if estimate.shape != self.reference.shape:
            raise UsageError(f"a reference of {_size(self.reference)} does not fit a result of {_size(estimate)}")
        self.psnrs.append(psnr(estimate, self.reference))


def _size(pixels: NDArray[np.float32]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]} {'grey' if pixels.ndim == 2 else 'colour'} pixels"
