"""Where the zero frequency lies: at [0, 0], as FFTs have it, or in the middle, as scanners' files mostly do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WINDOW = 16
"""The part of each side that is looked at is one in so many, on either side of the zero frequency."""


def centredness(weights: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    """The mean weight around the middle less that around [0, 0], over their sum: in [-1, 1], 0 where nothing tells.

    weights: [H, W]; of k-space its absolute values, of a mask itself. Both are largest around the zero frequency.
    """
    middle = _around_middle(weights)
    corner = _around_middle(np.fft.fftshift(weights))
    total = middle + corner
    return (middle - corner) / total if total > 0 else 0.0


def _around_middle(weights: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    spans = [(side // 2, max(1, side // _WINDOW)) for side in weights.shape]
    rows, columns = (slice(max(middle - reach, 0), middle + reach + 1) for middle, reach in spans)
    return float(weights[rows, columns].mean(dtype=np.float64))
