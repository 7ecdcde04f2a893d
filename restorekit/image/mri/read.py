"""Reading k-space: the format from the content, single-coil slices as complex numbers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import (
    ImageError,
    MissingExtraError,
    RestorekitError,
    UnreadableImageError,
    UnsupportedImageError,
)
from restorekit.image.formats import check_pixels
from restorekit.image.mri.bart import read_cfl
from restorekit.image.read import read_bytes, show_path

KSPACE_SUFFIXES = frozenset({".npy", ".npz", ".h5", ".cfl"})
"""Lower-case suffixes of the files that hold k-space."""

_NPY, _ZIP, _HDF5 = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_DATASET = "kspace"


def read_kspace(source: Path | bytes, *, max_pixels: int | None = None) -> NDArray[np.complex64]:
    """Single-coil k-space [slices, H, W] of a file, or of the bytes of one (.npy, .npz, .h5), in its own order.

    Args:
        source: .npy; .npz with one array or one named `kspace`; .h5 as fastMRI has it, data set `kspace`; .cfl with its
            .hdr beside it.
        max_pixels: the greatest number of pixels a slice may have, in place of the usual limit.

    Raises:
        UnreadableImageError: missing, empty, damaged, NaN or infinite, or nothing but zeros.
        UnsupportedImageError: not complex, several coils, or other dimensions.
        ImageTooLargeError: larger slices.
        MissingExtraError: an .h5 file, and h5py is not installed.
    """
    try:
        data = read_bytes(source) if isinstance(source, Path) else source
        if not data:
            raise UnreadableImageError("the file is empty (zero bytes)")
        if isinstance(source, Path) and source.suffix.lower() == ".cfl":
            return _checked(read_cfl(source, data), max_pixels)
        return _checked(_decode(data), max_pixels)
    except ImageError as error:
        if not isinstance(source, Path):
            raise
        raise type(error)(f"{show_path(source)}: {error}") from error


def load_npy(data: bytes) -> NDArray[Any]:
    """The array of an .npy file, never a pickle. Raises UnreadableImageError."""
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UnreadableImageError(f"the .npy file is truncated or damaged ({' '.join(str(error).split())})") from error
    return np.asarray(array)


def _decode(data: bytes) -> NDArray[Any]:
    if data.startswith(_NPY):
        return load_npy(data)
    if data.startswith(_ZIP):
        return _load_npz(data)
    if data.startswith(_HDF5):
        return _load_hdf5(data)
    raise UnreadableImageError(
        "no k-space (its content is none of .npy, .npz and HDF5); pictures are sampled by --simulate or --mask"
    )


def _load_npz(data: bytes) -> NDArray[Any]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            name = archive.files[0] if len(archive.files) == 1 else _DATASET
            if name not in archive.files:
                names = ", ".join(archive.files) or "none"
                raise UnsupportedImageError(f"several arrays and none named {_DATASET!r} among them: {names}")
            return np.asarray(archive[name])
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UnreadableImageError(f"the .npz file is truncated or damaged ({' '.join(str(error).split())})") from error


def _load_hdf5(data: bytes) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("HDF5 files are read by h5py: pip install 'restorekit[mri]'") from error
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if not isinstance(file.get(_DATASET), h5py.Dataset):
                names = ", ".join(file) or "none"
                raise UnsupportedImageError(f"no data set {_DATASET!r} in it, as fastMRI has; there are: {names}")
            return np.asarray(file[_DATASET][()])
    except RestorekitError:
        raise
    except Exception as error:  # a damaged file makes HDF5 raise nearly anything
        reason = " ".join(str(error).split())
        raise UnreadableImageError(f"the HDF5 file is truncated or damaged ({reason})") from error


def _checked(array: NDArray[Any], max_pixels: int | None) -> NDArray[np.complex64]:
    if array.dtype.kind != "c":
        raise UnsupportedImageError(f"an array of {array.dtype.name}; k-space is made of complex numbers")
    if array.ndim == 4:
        raise UnsupportedImageError(
            f"an array of shape {list(array.shape)}, as k-space of {array.shape[1]} coils has; only single-coil data, "
            "[H, W] or [slices, H, W], are reconstructed, so combine the coils before"
        )
    if array.ndim not in (2, 3):
        raise UnsupportedImageError(f"an array of shape {list(array.shape)}; k-space is [H, W] or [slices, H, W]")
    slices = array[None] if array.ndim == 2 else array
    check_pixels(slices.shape[2], slices.shape[1], max_pixels)
    if not len(slices):
        raise UnreadableImageError("no slices in it")
    if not np.isfinite(slices).all():
        raise UnreadableImageError("NaN or infinite values in it")
    # Raw data may be far below what the squares of single precision hold, so they are never squared before scaling.
    if not slices.any():
        raise UnreadableImageError("nothing but zeros in it")
    return slices.astype(np.complex64)
