"""JPEG, WebP, BMP and GIF through Pillow, all of 8 bits.

The format's own class is opened, not `Image.open`, whose pixel limit is one variable for the whole process; the same
limit is checked here instead, and raised for one picture alone.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import check_pixels
from restorekit.image.jpeg import EXIF_PREFIX, coding_of
from restorekit.image.picture import Metadata, Picture, collapse_grey, from_channels

_OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImageFile,
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"
_WEBP_EFFORT = 20  # the size of the default 80 within 1 %, in a third of the time


def decode_with_pillow(data: bytes, file_format: str, max_pixels: int | None) -> Picture:
    """Raises UnreadableImageError for a truncated file, UnsupportedImageError for CMYK and animations."""
    if file_format == "jpeg":
        _check_jpeg_end(data)
    if file_format == "webp" and len(data) < 8 + struct.unpack("<I", data[4:8])[0]:
        raise UnreadableImageError("the WebP file is truncated")
    with _OPENERS[file_format](io.BytesIO(data)) as image:
        check_pixels(*image.size, max_pixels)
        if getattr(image, "is_animated", False):
            raise UnsupportedImageError(f"an animated {file_format.upper()}; extract the frames to files of their own")
        notes = []
        if "mpoffset" in image.info:
            notes.append("further pictures in the file (preview, depth or gain map) left out")
        exif, icc, dpi = image.info.get("exif", b""), image.info.get("icc_profile", b""), image.info.get("dpi")
        if image.mode == "1":
            notes.append("1-bit pixels expanded to 8-bit grey")
            pixels = np.asarray(image.convert("L"))
        elif image.mode == "P" or "transparency" in image.info:
            pixels = collapse_grey(np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB")))
            notes.append(f"palette expanded to {'RGB' if pixels.shape[2] > 2 else 'grey'}")
        elif image.mode in ("L", "RGB", "RGBA"):
            pixels = np.asarray(image)
        else:
            raise UnsupportedImageError(f"a picture in {image.mode} colour; convert it to RGB or grey")
        coding = coding_of(image) if isinstance(image, JpegImageFile) else None
    metadata = Metadata(file_format, exif.removeprefix(EXIF_PREFIX), icc or b"", _resolution(dpi), jpeg=coding)
    return from_channels(pixels if pixels.ndim == 3 else pixels[..., None], metadata, tuple(notes))


def encode_with_pillow(picture: Picture, file_format: str, metadata: Metadata) -> bytes:
    """WebP without loss; BMP."""
    file = io.BytesIO()
    if file_format == "webp":
        exif = EXIF_PREFIX + metadata.exif if metadata.exif else b""
        colours = picture.pixels if not picture.is_grey else np.dstack([picture.pixels] * 3)
        image = Image.fromarray(colours if picture.alpha is None else np.dstack((colours, picture.alpha)))
        image.save(file, "WEBP", lossless=True, quality=_WEBP_EFFORT, exact=True, exif=exif, icc_profile=metadata.icc)
    else:
        Image.fromarray(picture.pixels).save(file, "BMP", dpi=metadata.dpi or (96, 96))
    return file.getvalue()


def _check_jpeg_end(data: bytes) -> None:
    """Refuse a JPEG without an end-of-image marker after its scan: libjpeg only warns, and fills in grey.

    An embedded thumbnail has such a marker too, so the segments before the scan are stepped over.
    """
    position = 2
    marker = 0
    while marker != _START_OF_SCAN and data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        # 0xFF twice is a fill byte.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(_END_OF_IMAGE, position) < 0:
        raise UnreadableImageError("the JPEG file is truncated")


def _resolution(dpi: object) -> tuple[float, float] | None:
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if np.isfinite([x, y]).all() and x > 0 and y > 0 else None
