"""PNG: pixels through libpng (imagecodecs), which keeps 16 bits; chunks checked, read and written here.

Pillow is not used, for it reads 16-bit RGB and grey-with-alpha files as 8-bit ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import check_pixels
from restorekit.image.picture import Metadata, Picture, collapse_grey, from_channels

_SIGNATURE_LENGTH = 8
_INCHES_PER_METRE = 0.0254
_DEFLATE_LEVEL = 4  # files of photographs some 6 % larger than at 6, in a third of the time
_LARGEST_PROFILE = 1 << 26
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
_RAW_EXIF = b"Raw profile type exif\0"
_EXIF_PREFIX = b"Exif\0\0"
_GREY, _PALETTE = 0, 3


def decode_png(data: bytes, max_pixels: int | None) -> Picture:
    """Every chunk's checksum is verified and the last one must be there, so a damaged file is never half-read."""
    width, height, bits, colour_type = _read_header(data)
    check_pixels(width, height, max_pixels)
    chunks: dict[bytes, bytes] = {}
    pixel_chunks: list[bytes | memoryview] = [data[:_SIGNATURE_LENGTH]]
    for kind, chunk in _read_chunks(data):
        content = bytes(chunk[8:-4]) if kind != b"IDAT" else b""
        if kind in _PIXEL_CHUNKS:
            pixel_chunks.append(chunk)
        if kind == b"acTL":
            raise UnsupportedImageError("an animated PNG; extract the frames to files of their own")
        if kind == b"zTXt" and content.startswith(_RAW_EXIF):
            chunks.setdefault(b"eXIf", _read_raw_exif(content))
        elif kind != b"IDAT":
            chunks.setdefault(kind, content)
    # libpng sees no other chunks: it would print its opinion of a colour profile to stderr.
    channels = imagecodecs.png_decode(b"".join(pixel_chunks))
    if channels.ndim == 2:
        channels = channels[..., None]
    notes = []
    if colour_type == _PALETTE:
        if b"iCCP" not in chunks:
            channels = collapse_grey(channels)
        notes.append(f"palette expanded to {'RGB' if channels.shape[2] > 2 else 'grey'}")
    elif b"tRNS" in chunks:
        notes.append("transparent colour turned into an alpha channel")
    if colour_type == _GREY and bits < 8:
        notes.append(f"{bits}-bit grey expanded to 8 bits")
    metadata = Metadata(
        "png",
        exif=chunks.get(b"eXIf", b"").removeprefix(_EXIF_PREFIX),
        icc=_read_profile(chunks.get(b"iCCP", b"")),
        dpi=_read_resolution(chunks.get(b"pHYs", b"")),
        png_colour=tuple(_make_chunk(kind, chunks[kind]) for kind in _COLOUR_CHUNKS if kind in chunks),
    )
    return from_channels(channels, metadata, tuple(notes))


def encode_png(picture: Picture, metadata: Metadata) -> bytes:
    """8 or 16 bits, grey or RGB, with or without alpha."""
    channels = picture.pixels
    if picture.alpha is not None:
        channels = np.dstack((channels, picture.alpha))
    data = imagecodecs.png_encode(np.ascontiguousarray(channels), level=_DEFLATE_LEVEL)
    extra = list(metadata.png_colour)
    if metadata.icc:
        extra.append(_make_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi is not None:
        pixels_per_metre = (round(dots / _INCHES_PER_METRE) for dots in metadata.dpi)
        extra.append(_make_chunk(b"pHYs", struct.pack(">IIB", *pixels_per_metre, 1)))
    if metadata.exif:
        extra.append(_make_chunk(b"eXIf", metadata.exif))
    header_end = _SIGNATURE_LENGTH + 25
    view = memoryview(data)
    return b"".join((view[:header_end], *extra, view[header_end:]))


def _read_header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits a sample, colour type."""
    if len(data) < _SIGNATURE_LENGTH + 25 or data[12:16] != b"IHDR":
        raise UnreadableImageError("the PNG file is truncated or damaged")
    width, height, bits, colour_type = struct.unpack(">IIBB", data[16:26])
    return width, height, bits, colour_type


def _read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Each chunk's name and the whole of it, checksum verified, up to IEND."""
    position = _SIGNATURE_LENGTH
    view = memoryview(data)
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", view[position : position + 4])
        end = position + 12 + length
        if end > len(data):
            break
        kind = bytes(view[position + 4 : position + 8])
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise UnreadableImageError(f"the PNG file is damaged (wrong checksum in chunk {ascii(kind)[2:-1]})")
        yield kind, view[position:end]
        if kind == b"IEND":
            return
        position = end
    raise UnreadableImageError("the PNG file is truncated")


def _make_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _read_profile(content: bytes) -> bytes:
    """The colour profile of an iCCP chunk; what does not decompress is returned as it is, to be found malformed."""
    compressed = content.partition(b"\0")[2][1:]
    try:
        return zlib.decompressobj().decompress(compressed, _LARGEST_PROFILE)
    except zlib.error:
        return content


def _read_raw_exif(content: bytes) -> bytes:
    """ImageMagick's EXIF block of before there was an eXIf chunk: name, length, and hexadecimal digits, deflated."""
    try:
        text = zlib.decompressobj().decompress(content[len(_RAW_EXIF) + 1 :], _LARGEST_PROFILE)
        return bytes.fromhex("".join(text.decode("ascii").split()[2:]))
    except (zlib.error, ValueError):
        return content


def _read_resolution(content: bytes) -> tuple[float, float] | None:
    if len(content) != 9 or content[8] != 1:
        return None
    x, y = struct.unpack(">II", content[:8])
    return (x * _INCHES_PER_METRE, y * _INCHES_PER_METRE) if x and y else None
