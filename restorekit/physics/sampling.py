"""Which frequencies a fast MRI scan measures: lines through the centre, lines side by side, or single points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError

Mask = NDArray[np.bool_]

CENTRE_SHARE = 0.08
"""Of the phase-encode lines: those around the centre that Cartesian sampling always takes, as fastMRI's masks do at a
fourfold acceleration."""
DENSITY_POWER = 3.0
"""Of random sampling: its density falls as (1 - distance from the centre)^3."""


class Pattern(StrEnum):
    """How the samples lie."""

    RADIAL = "radial"
    CARTESIAN = "cartesian"
    RANDOM = "random"


@dataclass(frozen=True)
class Sampling:
    """A pattern and the share of all frequencies, in (0, 1], that it measures.

    Raises:
        UsageError: another share.
    """

    pattern: Pattern
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(
                f"a share of {self.share:g} cannot be sampled; use a number above 0 up to 1, as in radial:0.3"
            )

    def mask(self, height: int, width: int, seed: int = 0) -> Tensor:
        """The mask, bool [H, W], zero frequency at [0, 0]; `seed` plays no part in a radial one."""
        if self.pattern is Pattern.RADIAL:
            centred = radial_mask(height, width, self.share)
        elif self.pattern is Pattern.CARTESIAN:
            centred = cartesian_mask(height, width, self.share, seed)
        else:
            centred = random_mask(height, width, self.share, seed)
        return torch.from_numpy(np.fft.ifftshift(centred))


def radial_mask(height: int, width: int, share: float) -> Mask:
    """Straight lines through the centre at equal angles, as many as reach the share; zero frequency at the centre.

    The rasterised lines of `radial_lines`. One line more or less changes the share by about 1 / max(H, W).
    """
    low, high = 1, 4 * max(height, width)
    while low < high:
        lines = (low + high) // 2
        if radial_lines(height, width, lines).mean() >= share:
            high = lines
        else:
            low = lines + 1
    mask = radial_lines(height, width, low)
    # The first row and column are Nyquist's, which no line reaches: a share of one needs them all the same.
    return mask if mask.mean() >= share else np.ones_like(mask)


def radial_lines(height: int, width: int, lines: int) -> Mask:
    """[H, W], true on `lines` lines through the centre at the angles pi k / lines, zero frequency at [H//2, W//2].

    A line takes one pixel a column, or one a row where it is steeper than a diagonal. On 256x256, 27, 55, 85, 117 and
    152 lines are the masks of 10 to 50 % that ADMM-Net (Yang et al. 2016) and ISTA-Net (Zhang and Ghanem 2018) are
    tested on.
    """
    mask = np.zeros((height, width), bool)
    columns = np.arange(-((width - 1) // 2), (width - 1) // 2 + 1)
    rows = np.arange(-((height - 1) // 2), (height - 1) // 2 + 1)
    for angle in np.arange(lines) * (math.pi / lines):
        across, down = width * math.cos(angle), height * math.sin(angle)
        if abs(down) <= abs(across):
            x, y = columns, np.rint(down / across * columns).astype(int)
        else:
            x, y = np.rint(across / down * rows).astype(int), rows
        inside = (np.abs(y) <= (height - 1) // 2) & (np.abs(x) <= (width - 1) // 2)
        mask[y[inside] + height // 2, x[inside] + width // 2] = True
    return mask


def cartesian_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Whole columns (phase-encode lines): the central ones, and others drawn uniformly; zero frequency at the centre.

    `CENTRE_SHARE` of the columns, but at most half of those sampled, are the centre. Knoll et al., fastMRI: A Publicly
    Available Raw k-Space and DICOM Dataset of Knee Images, 2020.
    """
    count = max(1, round(share * width))
    central = max(1, min(round(CENTRE_SHARE * width), (count + 1) // 2))
    first = width // 2 - central // 2
    others = np.setdiff1d(np.arange(width), np.arange(first, first + central))
    drawn = np.random.default_rng(seed).choice(others, count - central, replace=False)
    mask = np.zeros((height, width), bool)
    mask[:, first : first + central] = True
    mask[:, drawn] = True
    return mask


def random_mask(height: int, width: int, share: float, seed: int) -> Mask:
    """Single frequencies, denser towards the centre, which is always sampled; zero frequency at the centre.

    Exactly round(share H W) of them are drawn without replacement, with odds (1 - r)^3 + 0.01, r the distance from the
    centre over that of the corners. Lustig, Donoho and Pauly, Sparse MRI, 2007, section on sampling.
    """
    y = (np.arange(height) - height // 2) / max(height / 2, 1)
    x = (np.arange(width) - width // 2) / max(width / 2, 1)
    distance = np.hypot(y[:, None], x[None]) / math.sqrt(2)
    odds = np.clip(1 - distance, 0, 1) ** DENSITY_POWER + 0.01
    # Gumbel's trick: the largest of log(odds) + noise are a draw without replacement.
    keys = np.log(odds) + np.random.default_rng(seed).gumbel(size=odds.shape)
    keys[height // 2, width // 2] = np.inf
    count = max(1, round(share * height * width))
    mask = np.zeros(height * width, bool)
    mask[np.argpartition(-keys.ravel(), count - 1)[:count]] = True
    return mask.reshape(height, width)
