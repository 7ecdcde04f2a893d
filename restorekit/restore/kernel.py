"""Blur kernels as users name them: by a formula, a picture or an array in a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restorekit.errors import UnreadableImageError, UsageError
from restorekit.image import read_picture, show_path
from restorekit.physics.blur import gaussian_kernel, motion_kernel, normalise_kernel

USABLE = "use gaussian:SIGMA, motion:LENGTH,ANGLE, or the path of a grey picture or a .npy file"


def parse_kernel(text: str) -> Tensor:
    """gaussian:SIGMA, motion:LENGTH,ANGLE, PICTURE or FILE.npy -> [kh, kw], float64, summing to one.

    Raises:
        UsageError: none of these, or no kernel; see `normalise_kernel`. ImageError: a file that cannot be read.
    """
    kind, colon, numbers = text.partition(":")
    if colon and kind == "gaussian":
        return gaussian_kernel(*_numbers(text, numbers, 1))
    if colon and kind == "motion":
        return motion_kernel(*_numbers(text, numbers, 2))
    path = Path(text)
    if not path.exists():
        raise UsageError(f"--kernel {text}: no such file; {USABLE}")
    try:
        return normalise_kernel(_read_array(path) if path.suffix.lower() == ".npy" else _read_grey(path))
    except UsageError as error:
        raise UsageError(f"--kernel {show_path(path)}: {error}") from error


def _numbers(text: str, numbers: str, count: int) -> list[float]:
    try:
        values = [float(number) for number in numbers.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UsageError(f"--kernel {text}: {USABLE}, as in gaussian:2 or motion:15,30")
    return values


def _read_array(path: Path) -> Tensor:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableImageError(f"{show_path(path)}: not a .npy file of numbers") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise UnreadableImageError(f"{show_path(path)}: not a .npy file of numbers")
    return torch.from_numpy(array.astype(np.float64))


def _read_grey(path: Path) -> Tensor:
    pixels = read_picture(path).to_float()
    if pixels.ndim == 3:
        if not (np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])):
            raise UsageError("a colour picture, but a kernel is grey")
        pixels = pixels[..., 0]
    return torch.from_numpy(pixels.astype(np.float64))
