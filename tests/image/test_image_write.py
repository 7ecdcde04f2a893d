"""Writing: a file holds exactly the picture, and is written whole or not at all."""

import errno
import io
import os
import resource
import stat
from pathlib import Path

import numpy as np
import picture_files as files
import pytest
from PIL import Image, JpegImagePlugin

from restorekit.errors import ImageError, OutputError, UnsupportedImageError
from restorekit.image import (
    Metadata,
    Picture,
    check_output,
    decodes,
    encode_picture,
    output_suffix_for,
    read_picture,
    supported_suffixes,
    write_picture,
)


def make_picture(*shape, dtype="uint8", alpha=False):
    pixels = files.noise(*shape).astype(dtype)
    return Picture(pixels, Metadata("png"), files.noise(*shape[:2], seed=2).astype(dtype) if alpha else None)


def no_links(_source, _target):
    raise PermissionError(errno.EPERM, "no hard links here")


PICTURE = make_picture(5, 6, 3)


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3), (1, 1), (1, 40, 3), (40, 1)])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("file_format", "dtype"),
    [("png", "uint8"), ("png", "uint16"), ("tiff", "uint8"), ("tiff", "uint16"), ("tiff", "float16"),
     ("tiff", "float32"), ("tiff", "float64"), ("pnm", "uint8"), ("pnm", "uint16"), ("bmp", "uint8"),
     ("webp", "uint8")],
)  # fmt: skip
def test_lossless_formats_give_back_exactly_what_was_written(file_format, dtype, shape, alpha):
    picture = make_picture(*shape, dtype=dtype, alpha=alpha)
    if alpha and file_format in ("pnm", "bmp"):
        with pytest.raises(UnsupportedImageError, match="alpha"):
            encode_picture(picture, file_format)
        return
    again = read_picture(encode_picture(picture, file_format))
    expected = picture.pixels
    if file_format == "webp" and picture.is_grey:  # WebP has colour only
        expected = np.dstack([expected] * 3)
    np.testing.assert_array_equal(again.pixels, expected)
    assert again.pixels.dtype == dtype
    if alpha:
        np.testing.assert_array_equal(again.alpha, picture.alpha)
    else:
        assert again.alpha is None


def test_jpeg_has_quality_95_and_full_colour():
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    picture = Picture(np.dstack([smooth, smooth[::-1], 255 - smooth]), Metadata("jpeg"))
    data = encode_picture(picture, "jpeg")
    with Image.open(io.BytesIO(data)) as image:
        assert JpegImagePlugin.get_sampling(image) == 0
    assert np.abs(read_picture(data).pixels.astype(int) - picture.pixels).max() <= 6
    assert read_picture(encode_picture(make_picture(8, 8), "jpeg")).is_grey


@pytest.mark.parametrize(
    ("picture", "file_format", "message"),
    [
        (make_picture(4, 4, dtype="uint16"), "jpeg", "JPEG cannot hold uint16 pixels; write PNG or TIFF or PNM"),
        (make_picture(4, 4, 3, alpha=True), "jpeg", "JPEG cannot hold the alpha channel; write PNG or TIFF"),
        (make_picture(4, 4, dtype="float32"), "png", "PNG cannot hold float32 pixels; write TIFF"),
        (make_picture(4, 4), "gif", "GIF files are not written"),
        (make_picture(1, 20_000), "webp", "at most 16383 pixels a side"),
    ],
)
def test_a_format_refuses_what_it_cannot_hold_and_names_one_that_can(picture, file_format, message):
    with pytest.raises(UnsupportedImageError, match=message):
        encode_picture(picture, file_format)


def test_the_suffix_is_kept_if_its_format_can_hold_the_picture(tmp_path):
    assert output_suffix_for(PICTURE, tmp_path / "a.JPG") == ".JPG"
    assert output_suffix_for(PICTURE, tmp_path / "a.gif") == ".png"
    assert output_suffix_for(PICTURE, tmp_path / "no suffix") == ".png"
    assert output_suffix_for(make_picture(2, 2, dtype="uint16"), tmp_path / "a.jpg") == ".png"
    assert output_suffix_for(make_picture(2, 2, dtype="float32"), tmp_path / "a.png") == ".tiff"
    assert {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"} <= supported_suffixes


@pytest.mark.parametrize("name", ["Grüße 猫.png", "two\nlines.png", "-o.png", "x" * 251 + ".png", "a b'\".png"])
def test_any_name_can_be_written_and_read(tmp_path, name):
    path = tmp_path / name
    write_picture(path, PICTURE, overwrite=False)
    np.testing.assert_array_equal(read_picture(path).pixels, PICTURE.pixels)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with pytest.raises(OutputError) as error:
        write_picture(path, PICTURE, overwrite=False)
    assert "\n" not in str(error.value)


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(UnsupportedImageError, match=r"\.xyz.*\.png"):
        write_picture(tmp_path / "a.xyz", PICTURE, overwrite=False)


def test_an_existing_output_is_kept_unless_overwritten(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="already exists; pass --overwrite"):
        write_picture(path, PICTURE, overwrite=False)
    assert path.read_bytes() == b"precious"
    write_picture(path, PICTURE, overwrite=True)
    assert decodes(path)


@pytest.mark.parametrize("links", [True, False])
def test_an_output_that_appears_during_the_write_is_kept(tmp_path, monkeypatch, links):
    path = tmp_path / "a.png"

    def rival(_descriptor):
        path.write_bytes(b"rival")

    monkeypatch.setattr(os, "fsync", rival)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(OutputError, match="already exists"):
        write_picture(path, PICTURE, overwrite=False)
    assert path.read_bytes() == b"rival"
    assert list(tmp_path.iterdir()) == [path]


def test_file_systems_without_hard_links_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    write_picture(tmp_path / "a.png", PICTURE, overwrite=False)
    assert decodes(tmp_path / "a.png")
    assert len(list(tmp_path.iterdir())) == 1


def test_permissions_follow_the_umask_and_are_kept_on_overwriting(tmp_path):
    path = tmp_path / "a.png"
    before = os.umask(0o027)
    try:
        write_picture(path, PICTURE, overwrite=False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        write_picture(path, PICTURE, overwrite=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_write_protected_output_is_kept(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    path.chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"):
        write_picture(path, PICTURE, overwrite=True)
    assert path.read_bytes() == b"precious"


def test_symbolic_links_are_written_through(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    for name, exists in (("real.png", True), ("new.png", False)):
        target, link = store / name, tmp_path / name
        if exists:
            target.write_bytes(b"old")
        link.symlink_to(target)
        write_picture(link, PICTURE, overwrite=exists)
        assert link.is_symlink()
        assert decodes(target)
    loop = tmp_path / "loop.png"
    loop.symlink_to("loop.png")
    with pytest.raises(OutputError, match="leads back to itself"):
        write_picture(loop, PICTURE, overwrite=True)
    assert loop.is_symlink()


def test_folders_devices_and_missing_folders_are_refused_beforehand(tmp_path):
    (tmp_path / "x.png").mkdir()
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    (tmp_path / "file").touch()
    for name, message in (
        ("x.png", "a folder is in the way"),
        ("fifo.png", "not a regular file"),
        ("null.png", "not a regular file"),
        ("none/a.png", "there is no folder"),
        ("file/a.png", "Not a directory"),
        ("x" * 300 + ".png", "File name too long"),
    ):
        with pytest.raises(OutputError, match=message):
            check_output(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device")),
        ("fsync", KeyboardInterrupt()),
        ("open", PermissionError(errno.EACCES, "Permission denied")),
        ("open", OSError(errno.EROFS, "Read-only file system")),
    ],
)
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, call, error, overwrite):
    path = tmp_path / "a.png"
    if overwrite:
        path.write_bytes(b"precious")

    def fail(*_arguments):
        raise error

    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_picture(path, PICTURE, overwrite=overwrite)
    monkeypatch.undo()
    if expected is OutputError:
        assert str(caught.value) == f"{path}: cannot be written ({error.strerror})"
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"precious"] if overwrite else [])


def test_a_file_that_cannot_grow_leaves_nothing(tmp_path):
    """The kernel ends the write half-way, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OutputError, match="File too large"):
            write_picture(tmp_path / "a.png", make_picture(200, 200, 3), overwrite=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_nan_cannot_become_pixels():
    with pytest.raises(ImageError, match="NaN"):
        PICTURE.with_float(np.full((5, 6, 3), np.nan, np.float32))
