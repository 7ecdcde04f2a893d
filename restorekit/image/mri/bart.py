"""BART's files: NAME.hdr says the dimensions, NAME.cfl holds the numbers, complex64, the first dimension fastest."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import UnreadableImageError, UnsupportedImageError

_READ, _PHASE1, _PHASE2, _COILS, _SLICES = 0, 1, 2, 3, 13


def read_cfl(path: Path, data: bytes) -> NDArray[np.complex64]:
    """Single-coil k-space of `path`, whose content is `data`, as [slices, phase, read].

    Raises:
        UnreadableImageError: no header beside it, a damaged one, or data of another length than it says.
        UnsupportedImageError: several coils, a volume, or other dimensions than slices beyond these.
    """
    dimensions = _dimensions(path.with_suffix(".hdr"))
    expected = 8 * math.prod(dimensions)
    if len(data) != expected:
        raise UnreadableImageError(
            f"the .cfl file is truncated or damaged: {len(data)} bytes, where its header promises {expected}"
        )
    used = {index for index, size in enumerate(dimensions) if size > 1}
    if _COILS in used:
        raise UnsupportedImageError(
            f"k-space of {dimensions[_COILS]} coils; only single-coil data are reconstructed, so combine them before"
        )
    if not used <= {_READ, _PHASE1, _SLICES}:
        raise UnsupportedImageError(
            f"BART dimensions {dimensions}; only those of read-out (0), phase (1) and slices (13) may be above 1"
        )
    read, phase, slices = (dimensions[index] if index < len(dimensions) else 1 for index in (_READ, _PHASE1, _SLICES))
    return np.frombuffer(data, "<c8").reshape(slices, phase, read)


def _dimensions(path: Path) -> list[int]:
    try:
        lines = path.read_text("ascii").splitlines()
    except FileNotFoundError:
        raise UnreadableImageError(f"there is no {path.name} beside it, the header of BART's files") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableImageError(f"its header {path.name} cannot be read ({error})") from error
    values = [line for line in lines if line.strip() and not line.startswith("#")]
    try:
        dimensions = [int(value) for value in values[0].split()]
    except (IndexError, ValueError):
        raise UnreadableImageError(f"its header {path.name} does not tell the dimensions") from None
    if not dimensions or min(dimensions) < 1:
        raise UnreadableImageError(f"its header {path.name} tells the dimensions {dimensions}")
    return dimensions
