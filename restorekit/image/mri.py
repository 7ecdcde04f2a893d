"""Files of MRI: k-space and masks are read, reconstructed slices are written and read."""

import gzip
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.codecs import decode_picture, encode_picture, refusing
from restorekit.image.files import decodes, naming, read_bytes
from restorekit.image.formats import check_pixels, import_extra
from restorekit.image.picture import Metadata, Picture

KSPACE_SUFFIXES = frozenset({".npy", ".npz", ".h5", ".cfl"})  # in lower case
SLICES_SUFFIX = ".npy"  # of the files that `read_slices` reads
SCAN_SUFFIXES = (".png", ".npy", ".nii.gz", ".nii")  # of the files that reconstructed slices are written to
_NIBABEL = ("nibabel", "NIfTI files are written", "mri")
_DATASET = "kspace"
_READ, _PHASE, _COILS, _SLICES = 0, 1, 3, 13  # BART's numbers of these dimensions


def read_kspace(source: Path | bytes, *, max_pixels: int | None = None) -> NDArray[np.complex64]:
    """Return the single-coil k-space [slices, H, W] of a file, or of the bytes of one, in the file's own order.

    It reads .npy; .npz with one array or one named `kspace`; .h5 as fastMRI has it, with a data set `kspace`; a path to
    .cfl with its .hdr beside it. `max_pixels` replaces the usual limit for a slice. Raises UnreadableImageError for
    files that are missing, empty, damaged, not finite or nothing but zeros; UnsupportedImageError for real numbers,
    several coils and other dimensions; ImageTooLargeError; and MissingExtraError for an .h5 file without h5py.
    """
    with naming(source):
        data = read_bytes(source) if isinstance(source, Path) else source
        if not data:
            raise UnreadableImageError("the file is empty (zero bytes)")
        if isinstance(source, Path) and source.suffix.lower() == ".cfl":
            array = _load_cfl(data, source.with_suffix(".hdr"))
        elif data.startswith((b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")):
            array = (_load_hdf5 if data.startswith(b"\x89HDF") else _load_numpy)(data)
        else:
            raise UnreadableImageError("no k-space (none of .npy, .npz and HDF5); pictures need --simulate or --mask")
        return _checked(array, max_pixels)


def _load_numpy(data: bytes) -> NDArray[Any]:
    kind = ".npz" if data.startswith(b"PK") else ".npy"
    with refusing(UnreadableImageError, f"the {kind} file is truncated or damaged"):
        found = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        name = found.files[0] if len(found.files) == 1 else _DATASET
        if name not in found.files:
            names = ", ".join(found.files) or "none"
            raise UnsupportedImageError(f"several arrays and none named {_DATASET!r} among them: {names}")
        return np.asarray(found[name])


def _load_hdf5(data: bytes) -> NDArray[Any]:
    h5py, complaint = import_extra("h5py", "HDF5 files are read", "mri"), "the HDF5 file is truncated or damaged"
    with refusing(UnreadableImageError, complaint), h5py.File(io.BytesIO(data), "r") as file:
        if not isinstance(file.get(_DATASET), h5py.Dataset):
            names = ", ".join(file) or "none"
            raise UnsupportedImageError(f"no data set {_DATASET!r} in it, as fastMRI has; there are: {names}")
        return np.asarray(file[_DATASET][()])


def _load_cfl(data: bytes, header: Path) -> NDArray[np.complex64]:
    """Return BART's array as [slices, phase, read]."""
    try:
        lines = [line for line in header.read_text("ascii").splitlines() if line.strip() and not line.startswith("#")]
        dimensions = [int(size) for size in lines[0].split()]
    except FileNotFoundError:
        raise UnreadableImageError(f"there is no {header.name} beside it, the header of BART's files") from None
    except (OSError, ValueError, IndexError) as error:
        raise UnreadableImageError(f"its header {header.name} does not tell the dimensions ({error})") from error
    if min(dimensions) < 1:
        raise UnreadableImageError(f"its header {header.name} tells the dimensions {dimensions}")
    if len(data) != (expected := 8 * math.prod(dimensions)):
        raise UnreadableImageError(f"truncated or damaged: its header promises {expected} bytes, not {len(data)}")
    used = {index for index, size in enumerate(dimensions) if size > 1}
    if _COILS in used:
        raise UnsupportedImageError(f"k-space of {dimensions[_COILS]} coils; combine them into one coil first")
    if not used <= {_READ, _PHASE, _SLICES}:
        raise UnsupportedImageError(f"dimensions {dimensions}; only 0 (read), 1 (phase) and 13 (slices) may exceed 1")
    read, phase, slices = (dimensions[index] if index < len(dimensions) else 1 for index in (_READ, _PHASE, _SLICES))
    return np.frombuffer(data, "<c8").reshape(slices, phase, read)


def _checked(array: NDArray[Any], max_pixels: int | None) -> NDArray[np.complex64]:
    shape = list(array.shape)
    if array.dtype.kind != "c":
        raise UnsupportedImageError(f"an array of {array.dtype.name}; k-space is made of complex numbers")
    if array.ndim == 4:
        raise UnsupportedImageError(f"an array {shape}, k-space of {shape[1]} coils; combine them into one coil first")
    if array.ndim not in (2, 3):
        raise UnsupportedImageError(f"an array of shape {shape}; k-space is [H, W] or [slices, H, W]")
    check_pixels(shape[-1], shape[-2], max_pixels)
    slices = array[None] if array.ndim == 2 else array
    if not len(slices):
        raise UnreadableImageError("no slices in it")
    if not np.isfinite(slices).all():
        raise UnreadableImageError("NaN or infinite values in it")
    # The squares of raw data may be too small for single precision, so they are never squared before scaling.
    if not slices.any():
        raise UnreadableImageError("nothing but zeros in it")
    return slices.astype(np.complex64)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Return which frequencies were measured, [H, W], in the file's order: an .npy of zeros and ones, or a picture.

    An .npy [W] says which columns (phase encodings) were measured, for any number of rows; it is returned as [1, W].
    In a picture, all that is brighter than half is measured. Raises UnreadableImageError for files that are missing,
    empty or damaged, and UnsupportedImageError for numbers but zero and one, colour, other dimensions, or zeros alone.
    """
    with naming(path, "mask "):
        data = read_bytes(path)
        if not data:
            raise UnreadableImageError("the file is empty (zero bytes)")
        if path.suffix.lower() == ".npy":
            mask = _load_numpy(data)
            mask = mask[None] if mask.ndim == 1 else mask
            if mask.ndim != 2:
                raise UnsupportedImageError(f"an array of shape {list(mask.shape)}; a mask is [H, W] or [W]")
            if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
                raise UnsupportedImageError("other values than 0 and 1; a mask has 1 where a frequency was measured")
        else:
            picture = decode_picture(data)
            if not picture.is_grey:
                raise UnsupportedImageError("a colour picture; a mask is grey or an .npy file")
            mask = picture.to_float() > 0.5
        if not mask.any():
            raise UnsupportedImageError("is empty, so that nothing would be measured")
        return mask.astype(bool)


def read_slices(path: Path) -> NDArray[Any]:
    """Return real and imaginary parts, [slices, 2, H, W], of an .npy file of that shape or of complex [slices, H, W].

    Raises UnreadableImageError (also for NaN and infinity), and UnsupportedImageError for other arrays.
    """
    with naming(path):
        slices = _load_numpy(read_bytes(path))
        if slices.dtype.kind == "c" and slices.ndim == 3:
            slices = np.stack((slices.real, slices.imag), 1)
        if slices.dtype.kind != "f" or slices.ndim != 4 or slices.shape[1] != 2:
            found = f"{slices.dtype.name} {list(slices.shape)}"
            raise UnsupportedImageError(f"{found}; slices are complex [slices, H, W] or real [slices, 2, H, W]")
        if not np.isfinite(slices).all():
            raise UnreadableImageError("NaN or infinite values in it")
        return slices


def scan_format_of(path: Path) -> str:
    """Return which of `SCAN_SUFFIXES` a name ends in, or raise UnsupportedImageError, MissingExtraError (nibabel)."""
    suffix = next((suffix for suffix in SCAN_SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise UnsupportedImageError(f"slices are not written as {path.suffix!r}; use {', '.join(SCAN_SUFFIXES)}")
    if suffix.startswith(".nii"):
        import_extra(*_NIBABEL)
    return suffix


def check_slices(count: int, suffix: str) -> None:
    """Raise UnsupportedImageError if a file of that suffix cannot hold so many slices."""
    if suffix == ".png" and count > 1:
        raise UnsupportedImageError(f"a .png holds one slice, not {count}; write .npy or .nii.gz")


def encode_scan(slices: NDArray[np.complex64], suffix: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a file with complex slices [S, H, W], and notes on how their values were changed.

    .npy: complex64, [H, W] if there is one slice. .nii, .nii.gz: magnitudes as float32, axes (x, y, slice), one unit a
    voxel, since k-space tells no size. .png: the magnitudes of one slice in 16 bits, the greatest one white; raises
    UnsupportedImageError for several slices.
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
        data = encode_picture(Picture(scaled, Metadata("png")), "png")
        return data, (f"magnitudes divided by their maximum {peak:.4g} for 16 bits",)
    volume = np.ascontiguousarray(magnitudes.transpose(2, 1, 0))
    data = import_extra(*_NIBABEL).Nifti1Image(volume, np.eye(4)).to_bytes()
    # No time of day is stored, so that the same slices make the same file.
    return (gzip.compress(data, mtime=0) if suffix == ".nii.gz" else data), ("magnitudes only, as NIfTI has them",)


def is_complete_scan(path: Path) -> bool:
    """Return whether a file that `encode_scan` may have made is complete."""
    suffix = scan_format_of(path)
    if suffix == ".png":
        return decodes(path, max_pixels=2**62)
    try:
        data = read_bytes(path)
        if suffix == ".npy":
            _load_numpy(data)
        else:
            data = gzip.decompress(data) if suffix == ".nii.gz" else data
            np.asarray(import_extra(*_NIBABEL).Nifti1Image.from_bytes(data).dataobj)
    except Exception:  # damaged files make decoders raise nearly anything
        return False
    return True
