"""Binary PGM (P5) and PPM (P6) of 8 and 16 bits, after the netpbm format pages.

Pillow is not used, for it reads 16-bit PPM files as 8-bit ones.
"""

from __future__ import annotations

import re

import numpy as np

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import check_pixels
from restorekit.image.picture import Metadata, Picture, Pixels, from_channels, scale_to_depth

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([56])" + _SPACE + rb"(\d+)" + _SPACE + rb"(\d+)" + _SPACE + rb"(\d+)(?:#[^\r\n]*[\r\n])?\s")


def decode_pnm(data: bytes, max_pixels: int | None) -> Picture:
    """Samples of a maximum other than 255 or 65535 are scaled to the full range of 8 or 16 bits, with a note."""
    header = _HEADER.match(data[:4096])
    if header is None:
        raise UnreadableImageError("the PNM header is truncated or damaged")
    kind, width, height, maximum = (int(field) for field in header.groups())
    check_pixels(width, height, max_pixels)
    if not 1 <= maximum <= 65535:
        raise UnreadableImageError(f"the PNM maximum is {maximum}, not between 1 and 65535")
    samples = 1 if kind == 5 else 3
    stored = np.dtype(np.uint8 if maximum <= 255 else ">u2")
    size = width * height * samples * stored.itemsize
    body = memoryview(data)[header.end() :]
    if len(body) < size:
        raise UnreadableImageError("the PNM file is truncated")
    if len(body) > size and bytes(body[size : size + 2]) in (b"P5", b"P6"):
        raise UnsupportedImageError("a PNM file of several images; split it into files of their own")
    channels: Pixels = np.frombuffer(body[:size], stored).reshape(height, width, samples)
    notes: tuple[str, ...] = ()
    if maximum in (255, 65535):
        channels = channels.astype(stored.newbyteorder("="), copy=False)
    else:
        channels = scale_to_depth(channels, maximum)
        notes = (f"values of 0 to {maximum} scaled to {channels.dtype.itemsize * 8} bits",)
    return from_channels(channels, Metadata("pnm"), notes)


def encode_pnm(picture: Picture) -> bytes:
    """P5 for grey, P6 for RGB, with the depth's own maximum."""
    height, width = picture.pixels.shape[:2]
    maximum = np.iinfo(picture.pixels.dtype).max
    header = f"P{5 if picture.is_grey else 6}\n{width} {height}\n{maximum}\n".encode()
    return header + picture.pixels.astype(picture.pixels.dtype.newbyteorder(">"), copy=False).tobytes()
