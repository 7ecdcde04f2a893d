"""Files for the tests of restorekit.image, made without the code under test."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import ExifTags, Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def noise(*shape, dtype="uint8", seed=0):
    maximum = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, maximum, shape, dtype=dtype, endpoint=True)


def pillow_file(array_or_image, file_format, **options):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def tiff_file(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_file(samples, colour_type, bits, *extra_chunks, width=None):
    """[H, W, S] samples of 8 or 16 bits, or [H, bytes] packed rows with `width` given."""
    width = samples.shape[1] if width is None else width
    header = struct.pack(">IIBBBBB", width, len(samples), bits, colour_type, 0, 0, 0)
    return _png(header, extra_chunks, _scanlines(samples))


def interlaced_png_file(samples, colour_type, bits):
    """The seven passes of Adam7, each of its own rows and columns."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b"".join(_scanlines(samples[top::rows, left::columns]) for top, left, rows, columns in passes)
    header = struct.pack(">IIBBBBB", samples.shape[1], len(samples), bits, colour_type, 0, 0, 1)
    return _png(header, (), raw)


def _scanlines(samples):
    return b"".join(b"\0" + row.tobytes() for row in samples.astype(samples.dtype.newbyteorder(">")))


def _png(header, extra_chunks, raw):
    pixels = png_chunk(b"IDAT", zlib.compress(raw))
    return b"".join((SIGNATURE, png_chunk(b"IHDR", header), *extra_chunks, pixels, png_chunk(b"IEND", b"")))


def exif_block(orientation=1):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Kamera"
    exif[ExifTags.Base.Artist] = "A. Photographer"
    exif[ExifTags.Base.Orientation] = orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExposureTime] = 0.004
    details[ExifTags.Base.MakerNote] = b"maker's own data" * 4
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 30.0, 15.5)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def icc_profile(space=b"RGB ", name=b"Display P3"):
    """A profile header as ICC.1 has it, and one text tag: enough for what checks it, and of a name to look for."""
    body = struct.pack(">I4sII", 1, b"desc", 144, 20) + b"desc" + bytes(4) + name.ljust(12, b"\0")
    size = 128 + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x04000000, b"mntr", space, b"XYZ ").ljust(36, b"\0") + b"acsp"
    return head.ljust(128, b"\0") + body
