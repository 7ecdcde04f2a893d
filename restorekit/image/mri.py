"""Reading k-space: the format from the content, single-coil slices as complex numbers."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from pathlib import Path
from types import ModuleType
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
from restorekit.image.files import decodes, encode_picture, read_bytes, read_picture, show_path
from restorekit.image.formats import check_pixels
from restorekit.image.picture import Metadata, Picture

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


SCAN_SUFFIXES = (".png", ".npy", ".nii.gz", ".nii")
"""What reconstructed slices are written as."""

Slices = NDArray[np.complex64]


def scan_format_of(path: Path) -> str:
    """The suffix among `SCAN_SUFFIXES` that a file's name ends in.

    Raises:
        UnsupportedImageError: it ends in none.
        MissingExtraError: NIfTI, and nibabel is not installed.
    """
    for suffix in SCAN_SUFFIXES:
        if path.name.lower().endswith(suffix):
            if suffix.startswith(".nii"):
                _import_nibabel()
            return suffix
    raise UnsupportedImageError(
        f"no format of reconstructed slices ends in {path.suffix!r}; use {', '.join(SCAN_SUFFIXES)}"
    )


def check_slices(count: int, suffix: str) -> None:
    """Raise UnsupportedImageError for more slices than a file of that suffix holds."""
    if suffix == ".png" and count > 1:
        raise UnsupportedImageError(f"a .png holds one slice, not {count}; write .npy or .nii.gz")


def encode_scan(slices: Slices, suffix: str) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file with complex slices [S, H, W], and remarks on what became of their values.

    .npy: complex64, [H, W] if there is one slice. .nii, .nii.gz: magnitudes as float32, axes (x, y, slice), one unit a
    voxel, as k-space tells no size. .png: the magnitudes of one slice as 16 bits, the greatest one white.

    Raises:
        UnsupportedImageError: several slices as .png.
    """
    check_slices(len(slices), suffix)
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, slices[0] if len(slices) == 1 else slices)
        return buffer.getvalue(), ()
    magnitudes = np.abs(slices)
    if suffix == ".png":
        peak = float(magnitudes.max())
        scaled = np.rint(magnitudes[0] * (65535 / peak if peak > 0 else 0)).astype(np.uint16)
        picture = Picture(scaled, Metadata("png"))
        return encode_picture(picture, "png"), (f"magnitudes divided by their maximum {peak:.4g} for 16 bits",)
    nibabel = _import_nibabel()
    volume = np.ascontiguousarray(magnitudes.transpose(2, 1, 0))
    data: bytes = nibabel.Nifti1Image(volume, np.eye(4)).to_bytes()
    # No time of day in it, so that the same slices make the same file.
    return (gzip.compress(data, mtime=0) if suffix == ".nii.gz" else data), ("magnitudes only, as NIfTI has them",)


def is_complete_scan(path: Path) -> bool:
    """Whether a file that `encode_scan` may have made is complete."""
    suffix = scan_format_of(path)
    if suffix == ".png":
        return decodes(path, max_pixels=2**62)
    try:
        data = read_bytes(path)
        if suffix == ".npy":
            load_npy(data)
        else:
            data = gzip.decompress(data) if suffix == ".nii.gz" else data
            np.asarray(_import_nibabel().Nifti1Image.from_bytes(data).dataobj)
    except (RestorekitError, MemoryError):
        return False
    except Exception:  # a damaged file makes the decoders raise nearly anything
        return False
    return True


def _import_nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError("NIfTI files are written by nibabel: pip install 'restorekit[mri]'") from error
    return nibabel
