"""Reading images as a scanner sees them: complex slices, to train on and to measure with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ImageError, UnreadableImageError, UnsupportedImageError
from restorekit.image.mri.read import load_npy
from restorekit.image.read import read_bytes, show_path

SLICES_SUFFIX = ".npy"


def read_slices(path: Path) -> NDArray[Any]:
    """Real and imaginary parts, [slices, 2, H, W], of an .npy file of floating point or of complex [slices, H, W].

    Raises:
        UnreadableImageError: missing, empty, damaged, NaN or infinite. UnsupportedImageError: another array.
    """
    try:
        slices = load_npy(read_bytes(path))
        if slices.dtype.kind == "c" and slices.ndim == 3:
            slices = np.stack((slices.real, slices.imag), 1)
        if slices.dtype.kind != "f" or slices.ndim != 4 or slices.shape[1] != 2:
            raise UnsupportedImageError(
                f"an array of {slices.dtype.name} {list(slices.shape)}; slices are complex [slices, H, W], or "
                "float [slices, 2, H, W], the real and the imaginary part"
            )
        if not np.isfinite(slices).all():
            raise UnreadableImageError("NaN or infinite values in it")
    except ImageError as error:
        raise type(error)(f"{show_path(path)}: {error}") from error
    return slices
