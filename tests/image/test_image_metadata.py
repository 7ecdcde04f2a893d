"""EXIF data, colour profiles, orientation and resolution survive in every format that can hold them."""

import io
import struct
import zlib

import numpy as np
import picture_files as files
import pytest
from PIL import ExifTags, Image, ImageOps

from restorekit.errors import UnsupportedImageError
from restorekit.image import Metadata, Picture, encode_picture, read_picture

HOLDERS = [("png", "uint8"), ("png", "uint16"), ("jpeg", "uint8"), ("tiff", "uint8"), ("tiff", "uint16"),
           ("tiff", "float32"), ("webp", "uint8")]  # fmt: skip


def make_picture(dtype="uint8", grey=False, **metadata):
    pixels = files.noise(6, 9) if grey else files.noise(6, 9, 3)
    return Picture(pixels.astype(dtype), Metadata("png", **metadata))


def exif_of(data):
    """Camera, photographer, exposure time, date and latitude, as Pillow finds them in a file's bytes."""
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
    details, place = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    return (
        exif[ExifTags.Base.Make],
        exif[ExifTags.Base.Artist],
        float(details[ExifTags.Base.ExposureTime]),
        details[ExifTags.Base.DateTimeOriginal],
        details[ExifTags.Base.MakerNote],
        tuple(map(float, place[ExifTags.GPS.GPSLatitude])),
    )


EXPECTED_EXIF = ("Kamera", "A. Photographer", 0.004, "2024:05:06 07:08:09", b"maker's own data" * 4, (48, 30, 15.5))


@pytest.mark.parametrize(("file_format", "dtype"), HOLDERS)
def test_exif_profile_and_resolution_are_kept(file_format, dtype):
    picture = make_picture(dtype, exif=files.exif_block(), icc=files.icc_profile(), dpi=(300, 150))
    data = encode_picture(picture, file_format)
    again = read_picture(data)
    assert again.notes == ()
    assert again.metadata.icc == picture.metadata.icc
    if file_format != "webp":
        assert again.metadata.dpi == pytest.approx((300, 150), abs=0.02)  # PNG has dots a metre
    if dtype != "float32":  # which Pillow does not read in colour
        assert exif_of(data) == EXPECTED_EXIF
    if file_format != "tiff":
        assert again.metadata.exif == picture.metadata.exif
    # Through another format once more, so that what a TIFF gives back is seen to be whole.
    grey = Picture(files.noise(3, 3), Metadata("tiff", exif=again.metadata.exif))
    assert exif_of(encode_picture(grey, "png")) == EXPECTED_EXIF


@pytest.mark.parametrize(("file_format", "dtype"), HOLDERS)
def test_strip_metadata_leaves_out_all_metadata(file_format, dtype):
    picture = make_picture(dtype, exif=files.exif_block(), icc=files.icc_profile(), dpi=(300, 300))
    data = encode_picture(picture, file_format, strip_metadata=True)
    metadata = read_picture(data).metadata
    assert (metadata.exif, metadata.icc, metadata.png_colour) == (b"", b"", ())
    assert b"Kamera" not in data
    assert b"Display P3" not in data


@pytest.mark.parametrize("file_format", ["png", "tiff", "jpeg"])
def test_a_grey_profile_is_kept_with_a_grey_picture(file_format):
    picture = make_picture(grey=True, icc=files.icc_profile(b"GRAY"))
    again = read_picture(encode_picture(picture, file_format))
    assert again.is_grey
    assert again.metadata.icc == picture.metadata.icc


@pytest.mark.parametrize("profile", [b"garbage", b"x" * 300, files.icc_profile()[:140], files.icc_profile(b"CMYK")])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_malformed_or_foreign_profile_is_left_out_with_a_note(profile, file_format, capfd):
    stored = files.noise(6, 6, 3)
    picture = read_picture(files.pillow_file(stored, file_format, icc_profile=profile, lossless=True))
    assert picture.metadata.icc == b""
    (note,) = picture.notes
    assert "ICC profile" in note
    assert "left out" in note
    assert capfd.readouterr() == ("", "")  # libpng would print its own warning


def test_a_png_profile_that_does_not_decompress_is_left_out():
    chunk = files.png_chunk(b"iCCP", b"name\0\0no zlib stream")
    picture = read_picture(files.png_file(files.noise(3, 3, 3), 2, 8, chunk))
    assert picture.notes == ("malformed ICC profile left out",)


def test_colour_chunks_are_kept_from_png_to_png():
    gamma = files.png_chunk(b"gAMA", struct.pack(">I", 100_000))
    data = files.png_file(files.noise(3, 3, 3, dtype="uint16"), 2, 16, gamma)
    assert gamma in encode_picture(read_picture(data), "png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_once_and_reset(orientation, file_format):
    image = Image.fromarray(files.noise(6, 9, 3))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Kamera"
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = files.pillow_file(image, file_format, exif=exif, dpi=(100, 200), **options)
    picture = read_picture(data)
    with Image.open(io.BytesIO(data)) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(picture.pixels, upright)
    if file_format != "WEBP":
        assert picture.metadata.dpi == pytest.approx((200, 100) if orientation > 4 else (100, 200), abs=0.01)
    written = encode_picture(picture, "png")
    np.testing.assert_array_equal(read_picture(written).pixels, upright)
    with Image.open(io.BytesIO(written)) as image:
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert image.getexif()[ExifTags.Base.Make] == "Kamera"


def test_orientation_turns_alpha_and_16_bit_pixels_too():
    stored = files.noise(4, 7, 4, dtype="uint16")
    picture = read_picture(files.png_file(stored, 6, 16, files.png_chunk(b"eXIf", files.exif_block(6))))
    np.testing.assert_array_equal(np.dstack((picture.pixels, picture.alpha)), np.rot90(stored, -1))


def test_only_the_orientation_changes_in_an_exif_block():
    original = files.exif_block(6)
    kept = read_picture(files.png_file(files.noise(4, 7), 0, 8, files.png_chunk(b"eXIf", original))).metadata.exif
    differing = [i for i, (a, b) in enumerate(zip(original, kept, strict=True)) if a != b]
    assert len(differing) == 1
    assert kept == files.exif_block(1)


@pytest.mark.parametrize(
    "block", [b"no TIFF header", b"II*\0\xff\0\0\0", files.exif_block()[:20], b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_malformed_exif_is_left_out_with_a_note(block):
    picture = read_picture(files.png_file(files.noise(3, 3), 0, 8, files.png_chunk(b"eXIf", block)))
    assert picture.metadata.exif == b""
    assert picture.notes == ("malformed EXIF data left out",)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"dpi": (72, 72)}])
def test_malformed_exif_in_jpeg_and_webp_is_left_out_with_a_note(file_format, options):
    data = files.pillow_file(files.noise(6, 6, 3), file_format, exif=b"Exif\0\0no TIFF header", **options)
    assert read_picture(data).notes == ("malformed EXIF data left out",)


def test_a_damaged_exif_chunk_of_image_magick_is_left_out_with_a_note():
    chunk = files.png_chunk(b"zTXt", b"Raw profile type exif\0\0no zlib stream")
    picture = read_picture(files.png_file(files.noise(3, 5), 0, 8, chunk))
    assert picture.notes == ("malformed EXIF data left out",)


def test_the_old_exif_chunk_of_image_magick_is_read():
    block = b"Exif\0\0" + files.exif_block(3)
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    chunk = files.png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    stored = files.noise(3, 5)
    picture = read_picture(files.png_file(stored, 0, 8, chunk))
    np.testing.assert_array_equal(picture.pixels, stored[::-1, ::-1])
    assert picture.metadata.exif == files.exif_block(1)


def test_formats_that_cannot_hold_metadata_refuse_it():
    picture = make_picture(exif=files.exif_block())
    for file_format in ("bmp", "pnm"):
        with pytest.raises(UnsupportedImageError, match="--strip-metadata"):
            encode_picture(picture, file_format)
        encode_picture(picture, file_format, strip_metadata=True)
    huge = make_picture(exif=files.exif_block() + bytes(70_000))
    with pytest.raises(UnsupportedImageError, match="64 kB"):
        encode_picture(huge, "jpeg")
    grey = make_picture(grey=True, icc=files.icc_profile(b"GRAY"))
    with pytest.raises(UnsupportedImageError, match="grey colour profile"):
        encode_picture(grey, "webp")


def test_big_endian_exif_survives_tiff():
    exif = Image.Exif()
    exif.endian = ">"
    exif[ExifTags.Base.Make] = "Kamera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.5
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert block.startswith(b"MM")
    data = encode_picture(make_picture("uint16", exif=block), "tiff")
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, make_picture("uint16").pixels)
    assert picture.metadata.exif.startswith(b"MM")
    assert b"Kamera" in picture.metadata.exif
