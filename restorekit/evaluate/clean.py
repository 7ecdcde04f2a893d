"""Where the clean images of an evaluation come from: pictures in a folder, or slices of complex images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import DatasetError, UnsupportedImageError
from restorekit.evaluate.degradation import Degradation
from restorekit.image import read_picture, show_path, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.metrics import SSIM_WINDOW

_L = TypeVar("_L", bound=Hashable)


@dataclass(frozen=True)
class CleanImage:
    """An image to be measured with.

    name: within its folder. path: of its file. read: gives [H, W] or [H, W, 3] in [0, 1], or complex [H, W] of
    magnitudes up to 1; raises ImageError if it is of no use.
    """

    name: str
    path: Path
    read: Callable[[], NDArray[Any]]


def clean_pictures(folder: Path, degradation: Degradation[_L], max_pixels: int | None) -> list[CleanImage]:
    """The pictures of a folder, searched recursively, in the order of their paths.

    Raises:
        DatasetError: no folder, or no pictures in it.
    """
    return [
        CleanImage(path.relative_to(folder).as_posix(), path, partial(_picture, path, degradation, max_pixels))
        for path in _paths(folder, supported_suffixes)
    ]


def clean_slices(folder: Path) -> list[CleanImage]:
    """The slices of the .npy files of a folder, likewise: complex, or of real and imaginary part, [slices, 2, H, W].

    Each is divided by its greatest magnitude.

    Raises:
        DatasetError: no folder, or no such files in it. ImageError: one of them cannot be read.
    """
    images = []
    for path in _paths(folder, {SLICES_SUFFIX}):
        name, slices = path.relative_to(folder).as_posix(), read_slices(path)
        images += [
            CleanImage(f"{name}[{number}]", path, partial(_slice, path, parts)) for number, parts in enumerate(slices)
        ]
    return images


def holds_slices(folder: Path) -> bool:
    """Whether there are files of slices in a folder, and no pictures."""
    found = {path.suffix.lower() for path in folder.rglob("*") if path.is_file()}
    return SLICES_SUFFIX in found and not found & set(supported_suffixes)


def _picture(path: Path, degradation: Degradation[_L], max_pixels: int | None) -> NDArray[Any]:
    return _large_enough(degradation.prepare(read_picture(path, max_pixels=max_pixels)), path)


def _slice(path: Path, parts: NDArray[Any]) -> NDArray[Any]:
    values = parts[0].astype(np.float32) + np.complex64(1j) * parts[1].astype(np.float32)
    peak = np.abs(values).max()
    if peak == 0:
        raise UnsupportedImageError(f"{show_path(path)}: a slice of zeros")
    return _large_enough(values / peak, path)


def _large_enough(clean: NDArray[Any], path: Path) -> NDArray[Any]:
    if min(clean.shape[:2]) < SSIM_WINDOW:
        raise UnsupportedImageError(
            f"{show_path(path)}: {clean.shape[1]}x{clean.shape[0]} pixels, "
            f"but SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return clean


def _paths(folder: Path, suffixes: Sequence[str] | set[str] | frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{show_path(folder)}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise DatasetError(f"{show_path(folder)}: no images in it; known are {', '.join(sorted(suffixes))}")
    return paths
