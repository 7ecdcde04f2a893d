"""Reading keeps depth, alpha and values, and reports what it converts."""

import io
import struct
import tracemalloc

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from restorekit.image import read_picture


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("samples", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png_keeps_depth_colour_and_alpha(dtype, samples, colour_type):
    stored = files.noise(5, 7, samples, dtype=dtype)
    picture = read_picture(files.png_file(stored, colour_type, stored.itemsize * 8))
    colours = 1 if samples < 3 else 3
    np.testing.assert_array_equal(picture.pixels, stored[..., :colours] if colours == 3 else stored[..., 0])
    assert picture.pixels.dtype == dtype
    assert picture.is_grey == (colours == 1)
    if samples in (2, 4):
        np.testing.assert_array_equal(picture.alpha, stored[..., -1])
    else:
        assert picture.alpha is None
    assert picture.notes == ()


def test_an_interlaced_png_is_read():
    stored = files.noise(11, 13, 3, dtype="uint16")
    np.testing.assert_array_equal(read_picture(files.interlaced_png_file(stored, 2, 16)).pixels, stored)


def test_a_dark_16_bit_picture_stays_dark_and_16_bit():
    stored = files.noise(6, 6, 3, dtype="uint16") % 200
    picture = read_picture(files.png_file(stored, 2, 16))
    assert picture.pixels.dtype == np.uint16
    assert picture.to_float().max() < 200 / 65535 + 1e-6


def test_a_png_palette_with_transparency_becomes_rgb_with_alpha():
    palette = files.png_chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    transparency = files.png_chunk(b"tRNS", b"\x80")
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    picture = read_picture(files.png_file(indices, 3, 8, palette, transparency))
    assert picture.notes == ("palette expanded to RGB",)
    assert picture.pixels[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert picture.alpha.tolist() == [[128, 255, 255], [255, 255, 128]]


def test_a_palette_of_greys_becomes_a_grey_picture():
    palette = files.png_chunk(b"PLTE", bytes([0, 0, 0, 9, 9, 9]))
    picture = read_picture(files.png_file(np.array([[0, 1]], np.uint8), 3, 8, palette))
    assert picture.pixels.tolist() == [[0, 9]]
    assert picture.notes == ("palette expanded to grey",)


def test_the_transparent_colour_of_a_png_becomes_alpha():
    stored = np.array([[1, 2, 3]], np.uint16)
    picture = read_picture(files.png_file(stored, 0, 16, files.png_chunk(b"tRNS", b"\0\2")))
    assert picture.pixels.tolist() == [[1, 2, 3]]
    assert picture.alpha.tolist() == [[65535, 0, 65535]]
    assert picture.notes == ("transparent colour turned into an alpha channel",)


def test_one_bit_grey_in_a_png_becomes_8_bits():
    one_bit = files.png_file(np.array([[0b10100000]], np.uint8), 0, 1, width=3)
    picture = read_picture(one_bit)
    assert picture.pixels.tolist() == [[255, 0, 255]]
    assert picture.notes == ("1-bit grey expanded to 8 bits",)


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3)])
def test_a_jpeg_is_read_as_pillow_reads_it(shape):
    data = files.pillow_file(files.noise(*shape), "JPEG", quality=90)
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(data))))
    assert picture.notes == ()


@pytest.mark.parametrize("file_format", ["WEBP", "BMP"])
def test_webp_and_bmp_keep_their_values(file_format):
    stored = files.noise(8, 9, 3)
    picture = read_picture(files.pillow_file(stored, file_format, lossless=True))
    np.testing.assert_array_equal(picture.pixels, stored)


def test_webp_keeps_alpha():
    stored = files.noise(8, 9, 4)
    picture = read_picture(files.pillow_file(stored, "WEBP", lossless=True, exact=True))
    np.testing.assert_array_equal(np.dstack((picture.pixels, picture.alpha)), stored)


def test_a_one_bit_bmp_and_a_still_gif_are_converted_with_a_note():
    bits = Image.fromarray(files.noise(4, 4) > 100)
    picture = read_picture(files.pillow_file(bits, "BMP"))
    np.testing.assert_array_equal(picture.pixels, np.asarray(bits) * np.uint8(255))
    assert picture.notes == ("1-bit pixels expanded to 8-bit grey",)
    grey = Image.fromarray(np.array([[0, 255, 0]], np.uint8))
    gif = read_picture(files.pillow_file(grey, "GIF", transparency=0))
    assert (gif.pixels * (gif.alpha > 0)).tolist() == [[0, 255, 0]]
    assert gif.alpha.tolist() == [[0, 255, 0]]
    gif = read_picture(files.pillow_file(files.noise(4, 4, 3) // 128 * 255, "GIF"))
    assert gif.notes == ("palette expanded to RGB",)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3), (6, 5, 4), (1, 1), (1, 9), (9, 1, 3)])
@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "zlib", "byteorder": ">"}])
def test_tiff_keeps_depth_and_values(dtype, shape, options):
    stored = files.noise(*shape).astype(dtype)
    if stored.dtype.kind == "f":
        stored = stored / 100 - 1  # some negative, some above 1
    photometric = "minisblack" if len(shape) == 2 else "rgb"
    extrasamples = ["unassalpha"] if shape[-1] == 4 else None
    picture = read_picture(files.tiff_file(stored, photometric=photometric, extrasamples=extrasamples, **options))
    assert picture.pixels.dtype == stored.dtype == dtype
    read = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    np.testing.assert_array_equal(read, stored)
    assert picture.notes == ()
    if stored.dtype.kind == "f":
        np.testing.assert_array_equal(picture.to_float(), picture.pixels.astype(np.float32))


def test_every_layout_of_tiff_is_read():
    rgb = files.noise(40, 33, 3, dtype="uint16")
    planes = files.tiff_file(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    tiles = files.tiff_file(rgb, photometric="rgb", tile=(16, 16), compression="zlib", predictor=2)
    big = files.tiff_file(rgb, photometric="rgb", bigtiff=True)
    for data in (planes, tiles, big):
        np.testing.assert_array_equal(read_picture(data).pixels, rgb)
    grey = files.noise(5, 5)
    white_is_zero = read_picture(files.tiff_file(grey, photometric="miniswhite"))
    np.testing.assert_array_equal(white_is_zero.pixels, 255 - grey)
    assert white_is_zero.notes == ("white-is-zero grey inverted",)


def test_tiff_of_odd_depths_is_expanded_with_a_note():
    twelve = np.array([[0, 1, 4095]], np.uint16)
    picture = read_picture(files.tiff_file(twelve, bitspersample=12))
    assert picture.pixels.tolist() == [[0, 16, 65535]]
    assert picture.notes == ("12-bit samples expanded to 16 bits",)
    bits = files.noise(4, 9) > 100
    picture = read_picture(files.pillow_file(bits, "TIFF"))
    np.testing.assert_array_equal(picture.pixels, bits * np.uint8(255))
    palette_image = Image.fromarray(files.noise(4, 4, 3) // 128 * 255).quantize(8)
    picture = read_picture(files.pillow_file(palette_image, "TIFF"))
    np.testing.assert_array_equal(picture.pixels, np.asarray(palette_image.convert("RGB")))
    assert picture.notes == ("palette expanded to RGB",)


def test_premultiplied_tiff_is_divided_by_alpha_without_loss():
    alpha = files.noise(16, 16, dtype="uint16", seed=1)
    premultiplied = np.minimum(files.noise(16, 16, 3, dtype="uint16"), alpha[..., None])
    data = files.tiff_file(np.dstack((premultiplied, alpha)), photometric="rgb", extrasamples=["assocalpha"])
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.alpha, alpha)
    assert picture.notes == ("premultiplied colour made straight",)
    weight = alpha[..., None] / 65535
    np.testing.assert_array_equal(np.rint(picture.pixels * weight), premultiplied)
    opaque = np.float32([[[0.2, 0.5], [0.25, 0.5], [0.0, 0.0]]])
    grey = read_picture(
        files.tiff_file(opaque, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"])
    )
    np.testing.assert_allclose(grey.pixels, [[0.4, 0.5, 0.0]])


@pytest.mark.parametrize(("kind", "shape"), [(b"P5", (3, 4)), (b"P6", (3, 4, 3))])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pnm_keeps_depth_and_values(kind, shape, dtype):
    stored = files.noise(*shape, dtype=dtype)
    header = kind + f"\n# made by hand\n4 3\n{np.iinfo(dtype).max}\n".encode()
    picture = read_picture(header + stored.astype(stored.dtype.newbyteorder(">")).tobytes())
    np.testing.assert_array_equal(picture.pixels, stored)
    assert picture.pixels.dtype == dtype


def test_pnm_of_another_maximum_is_scaled_with_a_note():
    picture = read_picture(b"P5 3 1 1023\n" + struct.pack(">3H", 0, 1, 1023))
    assert picture.pixels.tolist() == [[0, 64, 65535]]
    assert picture.notes == ("values of 0 to 1023 scaled to 16 bits",)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_value_survives_to_float_and_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 64)
    picture = read_picture(files.png_file(values, 0, values.itemsize * 8))
    as_float = picture.to_float()
    assert as_float.dtype == np.float32
    assert as_float.min() == 0
    assert as_float.max() == 1
    np.testing.assert_array_equal(picture.with_float(as_float).pixels, values)


def test_with_float_clamps_and_rounds_and_keeps_the_rest():
    picture = read_picture(files.png_file(files.noise(1, 4, 2), 4, 8))
    restored = picture.with_float(np.float32([[-0.5, 0.5, 1.7, 0.1]]))
    assert restored.pixels.tolist() == [[0, 128, 255, 26]]
    assert restored.alpha is picture.alpha
    assert restored.metadata is picture.metadata
    with pytest.raises(ValueError, match="shape"):
        picture.with_float(np.zeros((4, 1), np.float32))


def test_converting_back_needs_no_second_float_copy():
    picture = read_picture(files.png_file(files.noise(2000, 200, 3), 2, 8))
    as_float = picture.to_float()
    tracemalloc.start()
    picture.with_float(as_float)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * picture.pixels.nbytes
