"""Reading sampling masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import ImageError, UnreadableImageError, UnsupportedImageError
from restorekit.image.mri.read import load_npy
from restorekit.image.read import read_bytes, read_picture, show_path


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Which frequencies were measured, [H, W], in the order of the file: an .npy of zeros and ones, or a picture.

    An .npy [W] is a line of phase encodings for any number of rows and comes as [1, W]. In a picture all that is
    brighter than half counts as measured.

    Raises:
        UnreadableImageError: missing, empty, damaged, or with NaN.
        UnsupportedImageError: complex or other numbers than zero and one, colour, other dimensions, or empty.
    """
    try:
        if path.suffix.lower() == ".npy":
            data = read_bytes(path)
            if not data:
                raise UnreadableImageError("the file is empty (zero bytes)")
            mask = _of_array(load_npy(data))
        else:
            picture = read_picture(path)
            if not picture.is_grey:
                raise UnsupportedImageError("a colour picture; a mask is grey or an .npy file")
            mask = picture.to_float() > 0.5
    except ImageError as error:
        message = str(error).removeprefix(f"{show_path(path)}: ")
        raise type(error)(f"mask {show_path(path)}: {message}") from error
    if not mask.any():
        raise UnsupportedImageError(f"mask {show_path(path)}: is empty, so that nothing would be measured")
    return mask


def _of_array(array: NDArray[Any]) -> NDArray[np.bool_]:
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise UnsupportedImageError(
            f"an array of shape {list(array.shape)}; a mask is [H, W], or [W] for whole columns"
        )
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise UnsupportedImageError("other values than 0 and 1; a mask has 1 where a frequency was measured")
    return array.astype(bool)
