"""Pictures from bytes and back, format by format. `docs/formats.md` says which library does which, and why.

Readers: imagecodecs (PNG), tifffile (TIFF), Pillow (JPEG, WebP, BMP, GIF). Writers: imagecodecs (PNG), imageio (TIFF,
JPEG, WebP, BMP). imageio does not read, because it applies Pillow's process-wide limit of pixels, refuses a picture
whose EXIF block is malformed, and shows neither the tables of a JPEG nor where a TIFF keeps its data.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, TiffPage

from restorekit.errors import ImageError, RestorekitError, UnreadableImageError, UnsupportedImageError
from restorekit.image import picture as pictures
from restorekit.image.formats import FORMATS, check_encodable, check_pixels, format_of_content
from restorekit.image.metadata import exif_of_tiff, insert_into_tiff, reset_orientation
from restorekit.image.picture import JpegCoding, Metadata, Picture, Pixels, from_channels

_EXIF_PREFIX = b"Exif\0\0"


def decode_picture(data: bytes, max_pixels: int | None = None) -> Picture:
    """Return the picture in a file's bytes, upright, without malformed EXIF data and profiles that do not fit.

    Raises the errors of `read_picture`, without a file name.
    """
    file_format = format_of_content(data)
    with refusing(UnreadableImageError, f"the {file_format.upper()} file is truncated or damaged"):
        if file_format == "png":
            picture = _decode_png(data, max_pixels)
        elif file_format == "tiff":
            picture = _decode_tiff(data, max_pixels)
        elif file_format == "pnm":
            picture = _decode_pnm(data, max_pixels)
        else:
            picture = _decode_with_pillow(data, max_pixels, file_format)
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
        if file_format == "png":
            return _encode_png(picture, metadata)
        if file_format == "tiff":
            return _encode_tiff(picture, metadata)
        if file_format == "pnm":
            return _encode_pnm(picture)
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
_HEADER_END = 8 + 25
_INCHES_PER_METRE = 0.0254
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
    channels = imagecodecs.png_decode(bare)
    notes = []
    if colour_type == 3:
        channels, note = _expand_palette(channels, has_profile=b"iCCP" in chunks)
        notes.append(note)
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
        dpi=_checked_dpi(x * _INCHES_PER_METRE, y * _INCHES_PER_METRE) if unit == 1 else None,
        png_colour=tuple(_chunk(kind, chunks[kind]) for kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM") if kind in chunks),
    )
    return from_channels(channels, metadata, tuple(notes))


def _encode_png(picture: Picture, metadata: Metadata) -> bytes:
    data = imagecodecs.png_encode(np.ascontiguousarray(_with_alpha(picture)), level=_DEFLATE_LEVEL)
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
    """Return the file with only the chunks that make its pixels, and the content of the first chunk of each kind.

    Every checksum is verified and the last chunk must be there, so that no damaged file is half read.
    """
    view, position, kind = memoryview(data), 8, b""
    kept = [view[:position]]
    contents: dict[bytes, bytes] = {}
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
    if bytes(body[size : size + 2]) in (b"P5", b"P6"):
        raise UnsupportedImageError("a PNM file of several images; split it into files of their own")
    channels: Pixels = np.frombuffer(body[:size], stored).reshape(height, width, samples)
    if maximum in (255, 65535):
        return from_channels(channels.astype(stored.newbyteorder("="), copy=False), Metadata("pnm"))
    channels = pictures.scale_to_depth(channels, maximum)
    note = f"values of 0 to {maximum} scaled to {channels.dtype.itemsize * 8} bits"
    return from_channels(channels, Metadata("pnm"), (note,))


def _encode_pnm(picture: Picture) -> bytes:
    (height, width), depth = picture.pixels.shape[:2], picture.pixels.dtype
    header = f"P{5 if picture.is_grey else 6}\n{width} {height}\n{np.iinfo(depth).max}\n".encode()
    return header + picture.pixels.astype(depth.newbyteorder(">"), copy=False).tobytes()


_OPENERS = {"jpeg": JpegImageFile, "webp": WebPImageFile, "bmp": BmpImageFile, "gif": GifImageFile}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, b"\xff\xd9"


def _decode_with_pillow(data: bytes, max_pixels: int | None, file_format: str) -> Picture:
    if file_format == "jpeg":
        _check_jpeg_end(data)
    if file_format == "webp" and len(data) < 8 + struct.unpack("<I", data[4:8])[0]:
        raise UnreadableImageError("the WebP file is truncated")
    opener: Callable[[io.BytesIO], ImageFile.ImageFile] = _OPENERS[file_format]  # Image.open has a limit of its own
    with opener(io.BytesIO(data)) as image:
        check_pixels(*image.size, max_pixels)
        if getattr(image, "is_animated", False):
            raise UnsupportedImageError(f"an animated {file_format.upper()}; extract the frames to files of their own")
        info, transparent = image.info, "transparency" in image.info
        notes = []
        if "mpoffset" in info:
            notes.append("further pictures in the file (preview, depth or gain map) left out")
        if image.mode == "1":
            notes.append("1-bit pixels expanded to 8-bit grey")
            pixels = np.asarray(image.convert("L"))
        elif image.mode == "P" or transparent:
            pixels, note = _expand_palette(np.asarray(image.convert("RGBA" if transparent else "RGB")))
            notes.append(note)
        elif image.mode in ("L", "RGB", "RGBA"):
            pixels = np.asarray(image)
        else:
            raise UnsupportedImageError(f"a picture in {image.mode} colour; convert it to RGB or grey")
        coding = _coding_of(image) if isinstance(image, JpegImageFile) else None
    exif, icc, dpi = info.get("exif", b"").removeprefix(_EXIF_PREFIX), info.get("icc_profile"), info.get("dpi")
    dpi = _checked_dpi(*dpi) if isinstance(dpi, tuple) and len(dpi) == 2 else None
    return from_channels(pixels, Metadata(file_format, exif, icc or b"", dpi, jpeg=coding), tuple(notes))


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
        pixels = _with_alpha(picture, rgb=True)
        # Effort 20 makes files within 1 % of the size at the default 80, in a third of the time.
        return write(pixels, lossless=True, quality=20, exact=True, exif=exif, icc_profile=icc)
    return write(pixels, dpi=dpi or (96, 96))


def recompress(pixels: NDArray[np.uint8], quality: int | Sequence[int]) -> NDArray[np.uint8]:
    """Return [H, W] or [H, W, 3] pixels as they are after JPEG compression with 4:2:0 colour.

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
    with JpegImageFile(file) as image:
        return np.array(image)


def _coding_of(image: JpegImageFile) -> JpegCoding | None:
    """Return how a grey or colour JPEG was compressed, None if it is damaged, so that tables are missing."""
    tables, components = image.quantization, image.layer
    try:
        luma, *chroma = [tuple(tables[component[3]]) for component in components]
    except (KeyError, ValueError):
        return None
    if not chroma:
        return JpegCoding(luma)
    across, down = (max(component[axis] for component in components) for axis in (1, 2))
    # Cb and Cr hardly ever differ. If they do, the coarser one counts.
    return JpegCoding(luma, max(chroma, key=sum), (across // components[1][1] or 1, down // components[1][2] or 1))


def _check_jpeg_end(data: bytes) -> None:
    """Refuse a JPEG without an end-of-image marker after its scan: libjpeg only warns, and fills in grey.

    The segments before the scan are skipped, because an embedded thumbnail has such a marker too.
    """
    position = 2
    marker = 0
    while marker != _START_OF_SCAN and data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        # 0xFF twice is a fill byte.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(_END_OF_IMAGE, position) < 0:
        raise UnreadableImageError("the JPEG file is truncated")


# tifffile logs what it finds wrong with a file, and Python prints that to stderr if nobody handles it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def _decode_tiff(data: bytes, max_pixels: int | None) -> Picture:
    """Decode the one full-size page. Raises UnsupportedImageError for several pages, RAW, CMYK, NaN and odd samples."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pages, full, is_raw = _sort_pages(tiff, data)
        if not pages:
            raise UnreadableImageError("the TIFF file is truncated (it has no page)")
        if is_raw:
            raise UnsupportedImageError("a camera's raw file; develop it first, or see restorekit demosaic")
        if len(full) != 1:
            raise UnsupportedImageError(f"a TIFF file of {len(full)} pages; split it into one file a page")
        page = full[0]
        _check_directory(page, data)
        check_pixels(page.imagewidth, page.imagelength, max_pixels)
        _check_kind(page)
        _check_complete(page, len(data))
        notes = ["smaller preview pages left out"] if len(pages) > 1 else []
        channels, converted = _read_channels(page)
        orientation = _tag(page, "Orientation")
        metadata = Metadata("tiff", icc=bytes(_tag(page, "InterColorProfile") or b""), dpi=_dpi_of_page(page))
        premultiplied = EXTRASAMPLE.ASSOCALPHA in page.extrasamples
    notes += converted
    exif = b""
    try:
        exif = exif_of_tiff(data)
    except struct.error:
        unread = "EXIF data, if any, left out, as it is not read from BigTIFF files"
        notes.append(unread if tiff.is_bigtiff else "malformed EXIF data left out")
    picture = from_channels(channels, metadata, tuple(notes), premultiplied=premultiplied)
    return pictures.turn_upright(picture, orientation if isinstance(orientation, int) else 1, exif)


def _encode_tiff(picture: Picture, metadata: Metadata) -> bytes:
    """Encode integers deflated with the horizontal predictor, floats uncompressed, alpha as unassociated alpha."""
    import imageio.v3 as iio
    from imageio.plugins.tifffile_v3 import TifffilePlugin

    channels = _with_alpha(picture)
    integers = channels.dtype.kind == "u"
    order = ">" if metadata.exif.startswith(b"MM") else "<"
    big = not integers and channels.nbytes > 2**32 - 2**25
    writer: Any = iio.imopen("<bytes>", "w", plugin=TifffilePlugin, bigtiff=big, byteorder=order)
    with writer:
        data: bytes = writer.write(
            channels,
            photometric="minisblack" if picture.is_grey else "rgb",
            planarconfig="contig" if channels.ndim == 3 else None,
            extrasamples=None if picture.alpha is None else ["unassalpha"],
            compression="zlib" if integers else None,
            predictor=2 if integers else None,
            iccprofile=metadata.icc or None,
            resolution=metadata.dpi,
            resolutionunit="inch" if metadata.dpi else None,
            metadata=None,
            software=False,
        )
    if not metadata.exif:
        return data
    if big:
        raise UnsupportedImageError("a TIFF file of over 4 GB cannot hold the EXIF data; pass --strip-metadata")
    return insert_into_tiff(data, metadata.exif)


def is_raw_tiff(data: bytes) -> bool:
    """Return whether a TIFF file is a camera's RAW file, as far as its first directories can be read."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            return _sort_pages(tiff, data)[2]
    except Exception:  # tifffile raises all kinds of errors
        return False


def _sort_pages(tiff: tifffile.TiffFile, data: bytes) -> tuple[list[TiffPage], list[TiffPage], bool]:
    """Return all pages, those that are no smaller previews, and whether the file is a camera's RAW.

    It is if it says so, or if there are only previews: the sensor's page may lie elsewhere.
    """
    pages = [page for page in (tiff.pages.get(i) for i in range(len(tiff.pages))) if isinstance(page, TiffPage)]
    full = [page for page in pages if not page.subfiletype & 1]
    marked = data[8:10] == b"CR" or any(
        tag in page.tags for page in pages for tag in ("DNGVersion", "CFARepeatPatternDim")
    )
    return pages, full, marked or (bool(pages) and not full)


def _check_directory(page: TiffPage, data: bytes) -> None:
    """Refuse a page whose tags or next page lie beyond the end of the file: tifffile goes on without them."""
    tiff = page.parent.tiff
    (declared,) = struct.unpack_from(tiff.tagnoformat, data, page.offset)
    link = page.offset + tiff.tagnosize + declared * tiff.tagsize
    (following,) = struct.unpack_from(tiff.offsetformat, data, link)
    if declared != len(page.tags) or following + tiff.tagnosize > len(data):
        raise UnreadableImageError("the TIFF file is truncated or damaged (its directory is incomplete)")


def _check_kind(page: TiffPage) -> None:
    supported = {PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.PALETTE: 1, PHOTOMETRIC.RGB: 3}
    if page.compression == COMPRESSION.JPEG:
        supported[PHOTOMETRIC.YCBCR] = 3  # decoded to RGB
    colours = supported.get(PHOTOMETRIC(page.photometric))
    if colours is None:
        kind = "CMYK" if page.photometric == PHOTOMETRIC.SEPARATED else PHOTOMETRIC(page.photometric).name
        raise UnsupportedImageError(f"a TIFF file in {kind} colour; convert it to RGB or grey")
    extra = page.samplesperpixel - colours
    if page.shaped[1] != 1 or extra not in (0, 1) or (extra == 1 and page.photometric == PHOTOMETRIC.PALETTE):
        size = f"{page.samplesperpixel} channels and {page.shaped[1]} planes"
        raise UnsupportedImageError(f"a TIFF file of {size}; save it as grey or RGB with at most one alpha channel")
    integer = page.dtype is not None and page.dtype.kind in "ub" and page.bitspersample <= 16
    if not integer and page.dtype not in (np.float16, np.float32, np.float64):
        kind = page.dtype.name if page.dtype is not None else "unknown"
        raise UnsupportedImageError(f"a TIFF file of {kind} samples; convert it to uint8, uint16 or float32")


def _check_complete(page: TiffPage, size: int) -> None:
    """Refuse strips or tiles that are missing or end after the file does: tifffile fills some of them with zeros."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(count <= 0 or offset <= 0 or offset + count > size for offset, count in segments):
        raise UnreadableImageError("the TIFF file is truncated or damaged (its pixel data is incomplete)")


def _read_channels(page: TiffPage) -> tuple[Pixels, list[str]]:
    """Return [H, W, S] in native byte order, and notes."""
    array = page.asarray(squeeze=False)  # [separate samples, depth, length, width, interleaved samples]
    separate = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    channels: Pixels = np.moveaxis(array[:, 0, :, :, 0], 0, -1) if separate else array[0, 0]
    bits = page.bitspersample
    notes: list[str] = []
    if channels.dtype.kind == "f":
        if not np.isfinite(channels).all():
            raise UnsupportedImageError("the picture holds NaN or infinite values; replace them first")
        return channels.astype(channels.dtype.newbyteorder("="), copy=False), notes
    if page.photometric == PHOTOMETRIC.PALETTE:
        if page.colormap is None:
            raise UnreadableImageError("the TIFF file has a palette picture but no palette")
        # Some writers store 8-bit colours in the palette's 16-bit fields.
        palette = page.colormap if page.colormap.max() < 256 else page.colormap >> 8
        rgb = palette.T.astype(np.uint8)[channels[..., 0]]
        channels, note = _expand_palette(rgb, has_profile="InterColorProfile" in page.tags)
        return channels, [note]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        channels = channels.copy()
        channels[..., 0] = (1 << bits) - 1 - channels[..., 0].astype(np.uint16)
        notes.append("white-is-zero grey inverted")
    if bits in (8, 16):
        return channels.astype(channels.dtype.newbyteorder("="), copy=False), notes
    channels = pictures.scale_to_depth(channels.astype(np.uint16), (1 << bits) - 1)
    return channels, [*notes, f"{bits}-bit samples expanded to {channels.dtype.itemsize * 8} bits"]


def _tag(page: TiffPage, name: str) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _dpi_of_page(page: TiffPage) -> tuple[float, float] | None:
    unit, x, y = (_tag(page, name) for name in ("ResolutionUnit", "XResolution", "YResolution"))
    inches = {2: 1.0, 3: 1 / 2.54}.get(unit if isinstance(unit, int) else 2)
    if inches is None or not all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in (x, y)):
        return None
    return _checked_dpi(x[0] / x[1] / inches, y[0] / y[1] / inches)


def _checked_dpi(x: float, y: float) -> tuple[float, float] | None:
    return (float(x), float(y)) if np.isfinite([float(x), float(y)]).all() and x > 0 and y > 0 else None


def _expand_palette(rgb: Pixels, *, has_profile: bool = False) -> tuple[Pixels, str]:
    """Return the colours of a palette picture, as grey if they are and no RGB profile says otherwise, and a note."""
    channels = rgb if has_profile else pictures.collapse_grey(rgb)
    return channels, f"palette expanded to {'RGB' if channels.shape[2] > 2 else 'grey'}"


def _with_alpha(picture: Picture, *, rgb: bool = False) -> Pixels:
    """Return the pixels, with `rgb` always three channels, and alpha, if any, as the last channel."""
    pixels = np.dstack([picture.pixels] * 3) if rgb and picture.is_grey else picture.pixels
    return pixels if picture.alpha is None else np.dstack((pixels, picture.alpha))
