"""What a network was given of a picture and what it made of it, for those who want to look closer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from restorekit.image import Picture
from restorekit.restore.batch import Restored
from restorekit.zoo import LoadedModel

Image = NDArray[np.float32]


@dataclass(frozen=True)
class RestorationTrace:
    """One image on its way through a network; images are [H, W] or [H, W, 3] with values about [0, 1].

    model: the network and its card. level, stride: what else it was told, the level in [0, 1]. observed, restored: the
    image before and after. mask: 1 where a value was observed and 0 where it was interpolated, like the image; None if
    all were observed. truth_of: makes of a clean picture the image that `restored` should have been.
    """

    model: LoadedModel
    level: float
    stride: int
    observed: Image
    restored: Image
    truth_of: Callable[[Picture], Image]
    mask: NDArray[Any] | None = None


class Examinable(Protocol):
    """An operation for `run_batch` that lets people look at what its network did."""

    def __call__(self, picture: Picture) -> Restored:
        """The picture restored."""

    def examined(self, picture: Picture) -> tuple[Restored, RestorationTrace]:
        """The picture restored, and the case that its network had; raises what the operation does."""
