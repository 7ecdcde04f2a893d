"""PNG: pixels through libpng (imagecodecs), which keeps 16 bits; chunks checked, read and written here.

Pillow is not used, for it reads 16-bit RGB and grey-with-alpha files as 8-bit ones.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import FORMATS, check_pixels
from restorekit.image.picture import JpegCoding, Metadata, Picture, Pixels, collapse_grey, from_channels, scale_to_depth

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


EXIF_PREFIX = b"Exif\0\0"

_WRITTEN_QUALITY = 95


def encode_jpeg(picture: Picture, metadata: Metadata, quality: int | None = None) -> bytes:
    """A JPEG file. None: of quality 95 with colour at full resolution; else as `recompress` has it."""
    file = io.BytesIO()
    Image.fromarray(picture.pixels).save(
        file,
        "JPEG",
        quality=_WRITTEN_QUALITY if quality is None else quality,
        subsampling="4:4:4" if quality is None else "4:2:0",
        exif=EXIF_PREFIX + metadata.exif if metadata.exif else b"",
        icc_profile=metadata.icc,
        dpi=metadata.dpi or (0, 0),
    )
    return file.getvalue()


def recompress(pixels: npt.NDArray[np.uint8], quality: int | Sequence[int]) -> npt.NDArray[np.uint8]:
    """What a JPEG of that quality makes of an image: [H, W] or [H, W, 3], compressed with 4:2:0 colour and decoded.

    Instead of a quality a table may be given, 64 quantisation steps row by row, of luma and chroma alike.

    Raises:
        UnsupportedImageError: a side of more than 65500 pixels.
    """
    most = FORMATS["jpeg"].max_side
    if max(pixels.shape[:2]) > most:
        raise UnsupportedImageError(f"JPEG holds at most {most} pixels a side")
    file = io.BytesIO()
    if isinstance(quality, Sequence):
        # Pillow scales given tables, too, and at quality 50 by one.
        Image.fromarray(pixels).save(file, "JPEG", quality=50, subsampling="4:2:0", qtables=[list(quality)])
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    file.seek(0)
    with JpegImageFile(file) as image:
        return np.array(image)


def coding_of(image: JpegImageFile) -> JpegCoding | None:
    """How a grey or colour JPEG was compressed; None where its tables are missing, so that it is damaged anyway."""
    tables, components = image.quantization, image.layer
    try:
        luma, *chroma = [tuple(tables[component[3]]) for component in components]
    except (KeyError, ValueError):
        return None
    if not chroma:
        return JpegCoding(luma)
    across, down = (max(component[axis] for component in components) for axis in (1, 2))
    # Cb and Cr hardly ever differ; where they do, the coarser of both is what matters.
    return JpegCoding(luma, max(chroma, key=sum), (across // components[1][1] or 1, down // components[1][2] or 1))


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
