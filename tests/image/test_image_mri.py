"""Files of MRI: k-space and masks that are read, slices that are written, and files that are refused."""

import numpy as np
import pytest
from picture_files import noise, pillow_file

from restorekit.errors import ImageTooLargeError, UnreadableImageError, UnsupportedImageError
from restorekit.image import read_picture
from restorekit.image.mri import (
    encode_scan,
    is_complete_scan,
    read_kspace,
    read_mask,
    read_slices,
    scan_format_of,
)

K = (noise(2, 5, 6) + 1j * noise(2, 5, 6, seed=1)).astype(np.complex64)


def save(path, array):
    np.save(path, array)
    return path


def test_k_space_is_read_from_npy_npz_hdf5_and_cfl(tmp_path):
    h5py = pytest.importorskip("h5py")
    np.savez(tmp_path / "one.npz", anything=K)
    np.savez(tmp_path / "named.npz", other=K[0], kspace=K)
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = K
    (tmp_path / "k.cfl").write_bytes(K.tobytes())
    (tmp_path / "k.hdr").write_text(f"# Dimensions\n6 5 {'1 ' * 11}2\n")
    paths = [save(tmp_path / "k.npy", K), *(tmp_path / name for name in ("one.npz", "named.npz", "k.h5", "k.cfl"))]
    for path in paths:
        np.testing.assert_array_equal(read_kspace(path), K)
    np.testing.assert_array_equal(read_kspace(paths[0].read_bytes()), K)
    assert read_kspace(save(tmp_path / "slice.npy", K[0])).shape == (1, 5, 6)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (K.real, UnsupportedImageError, "complex"),
        (K[None], UnsupportedImageError, "2 coils"),
        (K[0, 0], UnsupportedImageError, r"\[H, W\]"),
        (K[:0], UnreadableImageError, "no slices"),
        (K * np.nan, UnreadableImageError, "NaN"),
        (0 * K, UnreadableImageError, "zeros"),
    ],
)
def test_arrays_that_are_no_k_space_are_refused(tmp_path, array, error, message):
    with pytest.raises(error, match=message) as caught:
        read_kspace(save(tmp_path / "k.npy", array))
    assert str(caught.value).startswith(str(tmp_path))


def test_large_slices_and_damaged_files_are_refused(tmp_path):
    path = save(tmp_path / "k.npy", K)
    with pytest.raises(ImageTooLargeError):
        read_kspace(path, max_pixels=29)
    for data, message in ((b"", "empty"), (b"text", "no k-space"), (path.read_bytes()[:-1], "truncated")):
        with pytest.raises(UnreadableImageError, match=message):
            read_kspace(data)


def test_masks_are_arrays_or_pictures(tmp_path):
    line = np.array([1, 0, 1])
    assert read_mask(save(tmp_path / "line.npy", line)).tolist() == [[True, False, True]]
    (tmp_path / "m.png").write_bytes(pillow_file(np.array([[0, 127, 128, 255]], np.uint8), "PNG"))
    assert read_mask(tmp_path / "m.png").tolist() == [[False, False, True, True]]
    (tmp_path / "colour.png").write_bytes(pillow_file(noise(3, 3, 3), "PNG"))
    for path, message in (
        (tmp_path / "colour.png", "colour"),
        (save(tmp_path / "half.npy", line / 2), "0 and 1"),
        (save(tmp_path / "none.npy", 0 * line), "empty"),
        (save(tmp_path / "volume.npy", line[None, None]), "shape"),
    ):
        with pytest.raises(UnsupportedImageError, match=f"mask .*{message}"):
            read_mask(path)


def test_slices_are_read_as_real_and_imaginary_parts(tmp_path):
    parts = np.stack((K.real, K.imag), 1)
    np.testing.assert_array_equal(read_slices(save(tmp_path / "complex.npy", K)), parts)
    np.testing.assert_array_equal(read_slices(save(tmp_path / "parts.npy", parts)), parts)
    with pytest.raises(UnsupportedImageError, match="float32"):
        read_slices(save(tmp_path / "real.npy", K.real))


@pytest.mark.parametrize("suffix", [".npy", ".png", ".nii", ".nii.gz"])
def test_a_scan_is_complete_only_with_its_last_bytes(tmp_path, suffix):
    if suffix.startswith(".nii"):
        pytest.importorskip("nibabel")
    path = tmp_path / f"scan{suffix}"
    data, _ = encode_scan(K[:1], suffix)
    path.write_bytes(data)
    assert scan_format_of(path) == suffix
    assert is_complete_scan(path)
    path.write_bytes(data[:-8])
    assert not is_complete_scan(path)


def test_a_png_holds_the_magnitudes_of_one_slice(tmp_path):
    data, notes = encode_scan(K[:1], ".png")
    magnitudes = np.abs(K[0])
    expected = np.rint(magnitudes * (65535 / float(magnitudes.max())))
    np.testing.assert_array_equal(read_picture(data).pixels, expected)
    assert "maximum" in notes[0]
    with pytest.raises(UnsupportedImageError, match=r"one slice.*\.npy"):
        encode_scan(K, ".png")
    with pytest.raises(UnsupportedImageError, match=r"\.nii\.gz"):
        scan_format_of(tmp_path / "scan.jpg")
