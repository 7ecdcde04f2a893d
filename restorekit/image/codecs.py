"""Pictures from bytes and back, format by format. `docs/formats.md` says which library does which, and why.

imageio does not read, because it applies Pillow's process-wide limit of pixels, refuses a picture whose EXIF block is
malformed, and shows neither the tables of a JPEG nor where a TIFF keeps its data.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, WebPImagePlugin

from restorekit.errors import ImageError, RestorekitError, UnreadableImageError, UnsupportedImageError
from restorekit.image import picture as pictures
from restorekit.image.formats import FORMATS, check_encodable, check_pixels, format_of_content
from restorekit.image.picture import JpegCoding, Metadata, Picture, Pixels, from_channels
from restorekit.image.tiff import decode_tiff, encode_tiff, reset_orientation

_EXIF_PREFIX = b"Exif\0\0"
_OPENERS: dict[str, Callable[..., ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
}


def decode_picture(data: bytes, max_pixels: int | None = None) -> Picture:
    """Return an upright picture, without malformed EXIF data and profiles that do not fit. Raises as `read_picture`."""
    file_format = format_of_content(data)
    with refusing(UnreadableImageError, f"the {file_format.upper()} file is truncated or damaged"):
        if file_format in _OPENERS:
            picture = _decode_with_pillow(data, max_pixels, file_format)
        else:
            picture = {"png": _decode_png, "tiff": decode_tiff, "pnm": _decode_pnm}[file_format](data, max_pixels)
    metadata, notes = picture.metadata, list(picture.notes)
    if metadata.exif and file_format != "tiff":  # a TIFF's own orientation tag has been applied
        orientation, exif = 1, b""
        try:
            orientation, exif = reset_orientation(metadata.exif)
        except struct.error:
            notes.append("malformed EXIF data left out")
        picture = pictures.turn_upright(picture, orientation, exif)
    icc, (space, kind) = metadata.icc, (b"GRAY", "grey") if picture.is_grey else (b"RGB ", "RGB")
    malformed = len(icc) < 128 or icc[36:40] != b"acsp" or int.from_bytes(icc[:4], "big") > len(icc)
    if icc and (malformed or icc[16:20] != space):  # ICC.1:2022, section 7.2
        foreign = f"ICC profile for {icc[16:20].decode('latin-1').strip()} left out of a {kind} picture"
        notes.append("malformed ICC profile left out" if malformed else foreign)
        icc = b""
    return replace(picture, metadata=replace(picture.metadata, icc=icc), notes=tuple(notes))


def encode_picture(
    picture: Picture, file_format: str, *, strip_metadata: bool = False, jpeg_quality: int | None = None
) -> bytes:
    """Return the bytes of a file with the picture, its EXIF data and its profile; all but JPEG without loss.

    `file_format`: png, tiff, jpeg, webp, bmp or pnm. `jpeg_quality`: None for 95 with colour at full resolution, else
    the quality with 4:2:0 colour. Raises UnsupportedImageError if the format cannot hold the picture.
    """
    check_encodable(picture, file_format, strip_metadata=strip_metadata)
    metadata = Metadata(file_format) if strip_metadata else picture.metadata
    with refusing(UnsupportedImageError, f"the picture cannot be written as {file_format.upper()}"):
        if file_format == "pnm":
            return _encode_pnm(picture)
        if file_format in ("png", "tiff"):
            return (_encode_png if file_format == "png" else encode_tiff)(picture, metadata)
        return _encode_with_imageio(picture, metadata, file_format, jpeg_quality)


@contextmanager
def refusing(error: type[ImageError], complaint: str) -> Iterator[None]:
    """Turn whatever a codec raises into `error`, with the complaint and the codec's reason as its message."""
    try:
        yield
    except (RestorekitError, MemoryError):
        raise
    except Exception as reason:  # damaged files make codecs raise nearly anything
        raise error(f"{complaint} ({' '.join(str(reason).split())})") from reason


# PNG: libpng keeps 16 bits, where Pillow reads RGB and grey with alpha as 8 bits. The chunks are read here.
_HEADER_END, _INCHES_PER_METRE = 8 + 25, 0.0254
_DEFLATE_LEVEL = 4  # files of photographs are some 6 % larger than at 6 and take a third of the time
_LARGEST_PROFILE = 1 << 26
_RAW_EXIF, _HEXADECIMAL = b"Raw profile type exif\0", re.compile(rb"([0-9A-Fa-f]{2})+")


def _decode_png(data: bytes, max_pixels: int | None) -> Picture:
    if len(data) < _HEADER_END or data[12:16] != b"IHDR":
        raise UnreadableImageError("the PNG file is truncated or damaged")
    width, height, bits, colour_type = struct.unpack_from(">IIBB", data, 16)
    check_pixels(width, height, max_pixels)
    bare, chunks = _split_png(data)
    # libpng gets no other chunks: it would print its opinion of a colour profile to stderr.
    channels, notes = imagecodecs.png_decode(bare), list[str]()
    if colour_type == 3:
        channels = pictures.expand_palette(channels, notes, has_profile=b"iCCP" in chunks)
    elif b"tRNS" in chunks:
        notes.append("transparent colour turned into an alpha channel")
    if colour_type == 0 and bits < 8:
        notes.append(f"{bits}-bit grey expanded to 8 bits")
    resolution = chunks.get(b"pHYs", b"")
    x, y, unit = struct.unpack(">IIB", resolution) if len(resolution) == 9 else (0, 0, 0)
    metadata = Metadata(
        "png",
        exif=chunks.get(b"eXIf", b"").removeprefix(_EXIF_PREFIX),
        icc=_inflate(chunks.get(b"iCCP", b"").partition(b"\0")[2][1:]),
        dpi=pictures.checked_dpi(x * _INCHES_PER_METRE, y * _INCHES_PER_METRE) if unit == 1 else None,
        png_colour=tuple(_chunk(kind, chunks[kind]) for kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM") if kind in chunks),
    )
    return from_channels(channels, metadata, notes)


def _encode_png(picture: Picture, metadata: Metadata) -> bytes:
    data = imagecodecs.png_encode(np.ascontiguousarray(picture.channels()), level=_DEFLATE_LEVEL)
    extra = list(metadata.png_colour)
    if metadata.icc:
        extra.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi is not None:
        pixels_per_metre = (round(dots / _INCHES_PER_METRE) for dots in metadata.dpi)
        extra.append(_chunk(b"pHYs", struct.pack(">IIB", *pixels_per_metre, 1)))
    if metadata.exif:
        extra.append(_chunk(b"eXIf", metadata.exif))
    view = memoryview(data)
    return b"".join((view[:_HEADER_END], *extra, view[_HEADER_END:]))


def _split_png(data: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the file with only the chunks that make its pixels, and the content of the first chunk of each kind."""
    # Every checksum is verified and the last chunk must be there, so that no damaged file is half read.
    view, position, kind, contents = memoryview(data), 8, b"", dict[bytes, bytes]()
    kept = [view[:position]]
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(data):
            raise UnreadableImageError("the PNG file is truncated")
        chunk, kind = view[position:end], bytes(view[position + 4 : position + 8])
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise UnreadableImageError(f"the PNG file is damaged (wrong checksum in chunk {ascii(kind)[2:-1]})")
        if kind == b"acTL":
            raise UnsupportedImageError("an animated PNG; extract the frames to files of their own")
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(chunk)
        content = b"" if kind == b"IDAT" else bytes(chunk[8:-4])
        if kind == b"zTXt" and content.startswith(_RAW_EXIF):
            # ImageMagick's EXIF block, older than the eXIf chunk: a name, a length and deflated hexadecimal digits.
            digits = b"".join(_inflate(content[len(_RAW_EXIF) + 1 :]).split()[2:])
            contents.setdefault(b"eXIf", bytes.fromhex(digits.decode()) if _HEXADECIMAL.fullmatch(digits) else content)
        else:
            contents.setdefault(kind, content)
        position = end
    return b"".join(kept), contents


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _inflate(data: bytes) -> bytes:
    """Return the deflated data, or damaged data as they are, for a later check to refuse."""
    try:
        return zlib.decompressobj().decompress(data, _LARGEST_PROFILE)
    except zlib.error:
        return data


_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_HEADER = re.compile(rb"P([56])" + 3 * (_SPACE + rb"(\d+)") + rb"(?:#[^\r\n]*[\r\n])?\s")


def _decode_pnm(data: bytes, max_pixels: int | None) -> Picture:
    header = _PNM_HEADER.match(data[:4096])
    if header is None:
        raise UnreadableImageError("the PNM header is truncated or damaged")
    kind, width, height, maximum = map(int, header.groups())
    check_pixels(width, height, max_pixels)
    if not 1 <= maximum <= 65535:
        raise UnreadableImageError(f"the PNM maximum is {maximum}, not between 1 and 65535")
    samples, stored = 1 if kind == 5 else 3, np.dtype(np.uint8 if maximum <= 255 else ">u2")
    size = width * height * samples * stored.itemsize
    body = memoryview(data)[header.end() :]
    if len(body) < size:
        raise UnreadableImageError("the PNM file is truncated")
    if bytes(body[size : size + 2]) in (b"P5", b"P6"):
        raise UnsupportedImageError("a PNM file of several images; split it into files of their own")
    channels: Pixels = np.frombuffer(body[:size], stored).reshape(height, width, samples)
    if maximum in (255, 65535):
        return from_channels(channels.astype(stored.newbyteorder("="), copy=False), Metadata("pnm"), [])
    notes = [f"values of 0 to {maximum} scaled to {8 * stored.itemsize} bits"]
    return from_channels(pictures.scale_to_depth(channels, maximum), Metadata("pnm"), notes)


def _encode_pnm(picture: Picture) -> bytes:
    (height, width), depth = picture.pixels.shape[:2], picture.pixels.dtype
    header = f"P{5 if picture.is_grey else 6}\n{width} {height}\n{np.iinfo(depth).max}\n".encode()
    return header + picture.pixels.astype(depth.newbyteorder(">"), copy=False).tobytes()


def _decode_with_pillow(data: bytes, max_pixels: int | None, file_format: str) -> Picture:
    if file_format == "jpeg":
        _check_jpeg_end(data)
    if file_format == "webp" and len(data) < 8 + struct.unpack("<I", data[4:8])[0]:
        raise UnreadableImageError("the WebP file is truncated")
    with _OPENERS[file_format](io.BytesIO(data)) as image:  # Image.open has a limit of its own
        check_pixels(*image.size, max_pixels)
        if getattr(image, "is_animated", False):
            raise UnsupportedImageError(f"an animated {file_format.upper()}; extract the frames to files of their own")
        info, transparent, notes = image.info, "transparency" in image.info, list[str]()
        if "mpoffset" in info:
            notes.append("further pictures in the file (preview, depth or gain map) left out")
        if image.mode == "1":
            notes.append("1-bit pixels expanded to 8-bit grey")
            pixels = np.asarray(image.convert("L"))
        elif image.mode == "P" or transparent:
            pixels = pictures.expand_palette(np.asarray(image.convert("RGBA" if transparent else "RGB")), notes)
        elif image.mode in ("L", "RGB", "RGBA"):
            pixels = np.asarray(image)
        else:
            raise UnsupportedImageError(f"a picture in {image.mode} colour; convert it to RGB or grey")
        coding = _coding_of(image) if isinstance(image, JpegImagePlugin.JpegImageFile) else None
    exif, icc, dpi = info.get("exif", b"").removeprefix(_EXIF_PREFIX), info.get("icc_profile"), info.get("dpi")
    dpi = pictures.checked_dpi(*dpi) if isinstance(dpi, tuple) and len(dpi) == 2 else None
    return from_channels(pixels, Metadata(file_format, exif, icc or b"", dpi, jpeg=coding), notes)


def _encode_with_imageio(picture: Picture, metadata: Metadata, file_format: str, jpeg_quality: int | None) -> bytes:
    """Encode JPEG, lossless WebP or BMP. With a `jpeg_quality`, colour is 4:2:0, as `recompress` has it."""
    import imageio.v3 as iio  # here, because reading does not need it

    write = partial(iio.imwrite, "<bytes>", plugin="pillow", extension=FORMATS[file_format].suffixes[0], is_batch=False)
    pixels, dpi, icc = picture.pixels, metadata.dpi, metadata.icc
    exif = _EXIF_PREFIX + metadata.exif if metadata.exif else b""
    if file_format == "jpeg":
        quality, colour = (95, "4:4:4") if jpeg_quality is None else (jpeg_quality, "4:2:0")
        return write(pixels, quality=quality, subsampling=colour, exif=exif, icc_profile=icc, dpi=dpi or (0, 0))
    if file_format == "webp":
        pixels = picture.channels(rgb=True)
        # Effort 20 makes files within 1 % of the size at the default 80, in a third of the time.
        return write(pixels, lossless=True, quality=20, exact=True, exif=exif, icc_profile=icc)
    return write(pixels, dpi=dpi or (96, 96))


def recompress(pixels: NDArray[np.uint8], quality: int | Sequence[int]) -> NDArray[np.uint8]:
    """Return [H, W] or [H, W, 3] pixels after JPEG compression with 4:2:0 colour.

    `quality` may be a table of 64 quantisation steps, row by row, for luma and chroma alike. Raises
    UnsupportedImageError for a side of over 65500 pixels.
    """
    most = FORMATS["jpeg"].max_side
    if max(pixels.shape[:2]) > most:
        raise UnsupportedImageError(f"JPEG holds at most {most} pixels a side")
    # Pillow scales given tables too; at quality 50 by one.
    step, tables = (50, [list(quality)]) if isinstance(quality, Sequence) else (quality, None)
    file = io.BytesIO()  # imageio would take 0.5 ms longer, which is more than a training patch takes
    Image.fromarray(pixels).save(file, "JPEG", quality=step, subsampling="4:2:0", qtables=tables)
    file.seek(0)
    with JpegImagePlugin.JpegImageFile(file) as image:
        return np.array(image)


def _coding_of(image: JpegImagePlugin.JpegImageFile) -> JpegCoding | None:
    """Return how a grey or colour JPEG was compressed, None if it is damaged, so that tables are missing."""
    components = image.layer
    try:
        luma, *chroma = [tuple(image.quantization[component[3]]) for component in components]
    except (KeyError, ValueError):
        return None
    if not chroma:
        return JpegCoding(luma)
    across, down = (max(component[axis] for component in components) for axis in (1, 2))
    # Cb and Cr hardly ever differ. If they do, the coarser one counts.
    return JpegCoding(luma, max(chroma, key=sum), (across // components[1][1] or 1, down // components[1][2] or 1))


def _check_jpeg_end(data: bytes) -> None:
    """Refuse a JPEG without an end-of-image marker (FF D9) after its scan: libjpeg only warns, and fills in grey."""
    # The segments before the start of scan (FF DA) are skipped: an embedded thumbnail has such a marker too.
    position, marker = 2, 0
    while marker != 0xDA and data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        # 0xFF twice is a fill byte.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(b"\xff\xd9", position) < 0:
        raise UnreadableImageError("the JPEG file is truncated")
