"""Writing reconstructed slices: complex as .npy, magnitudes as .nii.gz or 16-bit .png."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import MissingExtraError, RestorekitError, UnsupportedImageError
from restorekit.image.mri.read import load_npy
from restorekit.image.picture import Metadata, Picture
from restorekit.image.read import decodes, read_bytes
from restorekit.image.write import encode_picture

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
