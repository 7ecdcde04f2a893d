"""How a JPEG was compressed, and compressing in memory."""

import numpy as np
import picture_files as files
import pytest
from PIL import Image

from restorekit.errors import UnsupportedImageError
from restorekit.image import Metadata, Picture, encode_picture, read_picture, recompress
from restorekit.physics.jpeg import quality_of, standard_table


def jpeg(*shape, **options):
    return files.pillow_file(files.noise(*shape), "JPEG", **options)


@pytest.mark.parametrize(("name", "factors"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))])
@pytest.mark.parametrize("progressive", [False, True])
def test_tables_and_subsampling_of_a_colour_jpeg_are_read(name, factors, progressive):
    coding = read_picture(jpeg(17, 19, 3, quality=30, subsampling=name, progressive=progressive)).metadata.jpeg
    assert coding.subsampling == factors
    assert (quality_of(coding.luma), quality_of(coding.chroma, chroma=True)) == (30, 30)


def test_a_grey_jpeg_has_one_table_and_a_png_none():
    coding = read_picture(jpeg(9, 9, quality=80)).metadata.jpeg
    assert (quality_of(coding.luma), coding.chroma, coding.subsampling) == (80, (), (1, 1))
    assert read_picture(encode_picture(Picture(files.noise(9, 9), Metadata("png")), "png")).metadata.jpeg is None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_subsampling_counts_in_the_orientation_of_the_file(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    metadata = read_picture(jpeg(16, 24, 3, subsampling="4:2:2", exif=exif)).metadata
    assert (metadata.jpeg.subsampling, metadata.orientation) == ((2, 1), orientation)


@pytest.mark.parametrize("shape", [(1, 1), (33, 17), (1, 1, 3), (33, 17, 3)])
def test_recompress_equals_writing_and_reading_a_file(shape):
    pixels = files.noise(*shape)
    data = encode_picture(Picture(pixels, Metadata("png")), "jpeg", jpeg_quality=20)
    assert np.array_equal(recompress(pixels, 20), read_picture(data).pixels)
    assert quality_of(read_picture(data).metadata.jpeg.luma) == 20


@pytest.mark.parametrize("quality", range(1, 101))
def test_recompress_with_a_table_equals_its_quality(quality):
    pixels = files.noise(33, 17)
    assert np.array_equal(recompress(pixels, standard_table(quality).tolist()), recompress(pixels, quality))


def test_recompress_refuses_a_picture_too_wide_for_jpeg():
    with pytest.raises(UnsupportedImageError, match="65500"):
        recompress(np.zeros((1, 65501), np.uint8), 50)
