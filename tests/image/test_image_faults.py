"""Files that must be refused: each with one clear line, and before harm is done."""

import io
import os
import struct
from contextlib import suppress

import numpy as np
import picture_files as files
import pytest
import tifffile
from PIL import Image

from restorekit.errors import ImageTooLargeError, UnreadableImageError, UnsupportedImageError
from restorekit.image import decodes, read_picture


def one_line(error):
    return "\n" not in str(error.value)


def test_empty_text_and_missing_files_are_refused(tmp_path):
    empty, text = tmp_path / "empty.png", tmp_path / "text.png"
    empty.touch()
    text.write_text("This is no image.\n")
    for path, message in ((empty, "empty"), (text, "not an image"), (tmp_path / "none.png", "no such file")):
        with pytest.raises(UnreadableImageError, match=message) as error:
            read_picture(path)
        assert str(error.value).startswith(str(path))
        assert one_line(error)
        assert not decodes(path)
    with pytest.raises(UnreadableImageError, match="empty"):
        read_picture(b"")


def test_a_folder_a_fifo_and_a_link_loop_are_refused(tmp_path):
    (tmp_path / "x.png").mkdir()
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, message in (("x.png", "a folder"), ("fifo.png", "not a regular file"), ("loop.png", "cannot be read")):
        with pytest.raises(UnreadableImageError, match=message):
            read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("PPM", {}),
        ("GIF", {}),
        ("BMP", {}),
    ],
)
def test_no_truncated_file_is_half_read(file_format, options, capfd):
    data = files.pillow_file(files.noise(20, 16, 3), file_format, **options)
    padding = 2 if file_format == "GIF" else 0  # an end marker that carries no pixels
    for length in range(len(data) - padding):
        with pytest.raises(UnreadableImageError):
            read_picture(data[:length])
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_or_png_with_a_tail_of_zeros_is_refused():
    for file_format in ("JPEG", "PNG"):
        data = files.pillow_file(files.noise(30, 30, 3), file_format)
        with pytest.raises(UnreadableImageError):
            read_picture(data[: len(data) // 2] + bytes(len(data) // 2))


def test_a_png_with_a_flipped_bit_is_refused():
    data = bytearray(files.pillow_file(files.noise(30, 30), "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableImageError, match="checksum"):
        read_picture(bytes(data))


def test_a_png_named_jpg_is_read_with_a_note(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(files.pillow_file(files.noise(4, 4), "PNG"))
    assert read_picture(path).notes == ("the content is PNG in spite of the name",)
    assert decodes(path)


def bombs():
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    png = files.SIGNATURE + files.png_chunk(b"IHDR", header) + files.png_chunk(b"IEND", b"")
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, shape=(50_000, 50_000), dtype="uint8", data=iter([b"x"]), compression="zlib",
                     tile=(50_000 // 16 * 16 + 16,) * 2)  # fmt: skip
    jpeg = bytearray(files.pillow_file(files.noise(8, 8), "JPEG"))
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = struct.pack(">HH", 50_000, 50_000)
    bmp = bytearray(files.pillow_file(files.noise(8, 8), "BMP"))
    bmp[18:26] = struct.pack("<II", 50_000, 50_000)
    gif = bytearray(files.pillow_file(files.noise(8, 8), "GIF"))
    gif[6:10] = struct.pack("<HH", 50_000, 50_000)
    return {"png": png, "tiff": tiff.getvalue(), "jpeg": bytes(jpeg), "bmp": bytes(bmp), "gif": bytes(gif),
            "pnm": b"P5 50000 50000 255\n"}  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg", "bmp", "gif", "pnm"])
def test_bombs_are_refused_before_decoding(kind):
    with pytest.raises(ImageTooLargeError, match=r"50000 x 50000 .*--max-pixels 2500000000"):
        read_picture(bombs()[kind])


def test_max_pixels_sets_the_limit_for_one_picture():
    limit = Image.MAX_IMAGE_PIXELS
    for file_format in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM"):
        data = files.pillow_file(files.noise(10, 10, 3), file_format)
        with pytest.raises(ImageTooLargeError):
            read_picture(data, max_pixels=99)
        assert read_picture(data, max_pixels=100).pixels.shape[:2] == (10, 10)
    wide = files.pillow_file(Image.new("1", (10_000, 9_000)), "PNG")
    with pytest.raises(ImageTooLargeError):
        read_picture(wide)
    assert read_picture(wide, max_pixels=90_000_000).pixels.shape == (9_000, 10_000)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("file_format", ["JPEG", "BMP", "GIF"])  # its WebP reader checks by itself
def test_the_limit_of_pillow_does_not_apply(file_format, monkeypatch):
    data = files.pillow_file(files.noise(10, 10, 3), file_format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(data).pixels.shape[:2] == (10, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_float_tiff_with_nan_or_infinity_is_refused(value):
    stored = np.zeros((3, 3), np.float32)
    stored[1, 1] = value
    with pytest.raises(UnsupportedImageError, match="NaN or infinite"):
        read_picture(files.tiff_file(stored))


def animation(file_format):
    frames = [Image.fromarray(files.noise(8, 8, 3, seed=seed)) for seed in range(2)]
    return files.pillow_file(frames[0], file_format, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: animation("GIF"), "animated GIF"),
        (lambda: animation("PNG"), "animated PNG"),
        (lambda: animation("WEBP"), "animated WEBP"),
        (lambda: animation("TIFF"), "TIFF file of 2 pages"),
        (lambda: files.pillow_file(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
        (lambda: files.pillow_file(Image.new("CMYK", (8, 8)), "TIFF"), "CMYK"),
        (lambda: files.pillow_file(Image.new("LAB", (8, 8)), "TIFF"), "CIELAB"),
        (lambda: files.pillow_file(Image.new("I", (8, 8)), "TIFF"), "int32"),
        (lambda: b"\0\0\0\x18ftypheic" + bytes(20), "HEIF"),
        (lambda: b"P2\n1 1\n255\n7\n", "PNM"),
        (lambda: b"P5 1 1 255\nxP5 1 1 255\ny", "several images"),
    ],
)
def test_unsupported_kinds_are_refused_clearly(data, message):
    with pytest.raises(UnsupportedImageError, match=message) as error:
        read_picture(data())
    assert one_line(error)


def test_a_truncated_tiff_of_two_pages_is_not_read_as_one_page():
    data = animation("TIFF")
    for length in range(len(data)):
        with pytest.raises((UnreadableImageError, UnsupportedImageError)):
            read_picture(data[:length])


def test_preview_pages_of_a_tiff_are_left_out_with_a_note():
    file = io.BytesIO()
    full = files.noise(16, 16)
    with tifffile.TiffWriter(file) as writer:
        writer.write(full, metadata=None)
        writer.write(full[::2, ::2], subfiletype=1, metadata=None)
    picture = read_picture(file.getvalue())
    np.testing.assert_array_equal(picture.pixels, full)
    assert picture.notes == ("smaller preview pages left out",)


def test_camera_raw_is_refused():
    data = files.tiff_file(files.noise(8, 8), extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
    with pytest.raises(UnsupportedImageError, match="raw"):
        read_picture(data)


def test_a_multi_picture_jpeg_is_read_with_a_note():
    frames = [Image.fromarray(files.noise(16, 16, 3, seed=seed)) for seed in range(2)]
    data = files.pillow_file(frames[0], "MPO", save_all=True, append_images=frames[1:])
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert picture.notes == ("further pictures in the file (preview, depth or gain map) left out",)


def test_random_damage_ends_in_an_image_error_or_a_picture(capfd):
    rng = np.random.default_rng(0)
    for file_format in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM"):
        data = files.pillow_file(files.noise(12, 12, 3), file_format)
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, min(len(data), 200), 3):
                damaged[position] = rng.integers(256)
            with suppress(UnreadableImageError, UnsupportedImageError, ImageTooLargeError):
                read_picture(bytes(damaged), max_pixels=10**6)
    assert capfd.readouterr().out == ""
