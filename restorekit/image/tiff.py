"""TIFF through tifffile and imagecodecs: 8 and 16-bit integers, 16, 32 and 64-bit floats.

Pillow is not used, for it has no 16-bit or float colour.
"""

from __future__ import annotations

import io
import logging
import struct

import numpy as np
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage, imwrite

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image.formats import check_pixels
from restorekit.image.metadata import MalformedExifError, byte_order, exif_of_tiff, insert_into_tiff
from restorekit.image.picture import (
    Metadata,
    Picture,
    Pixels,
    collapse_grey,
    from_channels,
    scale_to_depth,
    turn_upright,
)

# tifffile logs what it finds wrong with a file, and Python prints that to stderr where nobody handles it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_CAMERA_RAW_TAGS = (50706, 33421)  # DNGVersion, CFARepeatPatternDim
_ICC_TAG, _ORIENTATION_TAG, _X_RESOLUTION_TAG, _Y_RESOLUTION_TAG, _UNIT_TAG = 34675, 274, 282, 283, 296
_INCHES_PER_UNIT = {2: 1.0, 3: 1 / 2.54}
_FLOATS = (np.float16, np.float32, np.float64)


def decode_tiff(data: bytes, max_pixels: int | None) -> Picture:
    """The one full-size page. Raises UnsupportedImageError for several pages, raw, CMYK, NaN and odd sample types."""
    with TiffFile(io.BytesIO(data)) as tiff:
        page, notes = _only_page(tiff, data)
        _check_directory(page, data)
        check_pixels(page.imagewidth, page.imagelength, max_pixels)
        _check_kind(page)
        _check_complete(page, len(data))
        channels, converted = _read_channels(page)
        orientation = _int_tag(page, _ORIENTATION_TAG, 1)
        icc = page.tags.get(_ICC_TAG)
        metadata = Metadata(
            "tiff",
            icc=bytes(icc.value) if icc is not None else b"",
            dpi=_resolution(page),
        )
        premultiplied = EXTRASAMPLE.ASSOCALPHA in page.extrasamples
    notes += converted
    try:
        exif = b"" if tiff.is_bigtiff else exif_of_tiff(data)
        if tiff.is_bigtiff:
            notes.append("EXIF data, if any, left out, as it is not read from BigTIFF files")
    except MalformedExifError:
        exif = b""
        notes.append("malformed EXIF data left out")
    picture = from_channels(channels, metadata, tuple(notes), premultiplied=premultiplied)
    return turn_upright(picture, orientation, exif)


def encode_tiff(picture: Picture, metadata: Metadata) -> bytes:
    """Integers deflated with the horizontal predictor, floats uncompressed; alpha as unassociated alpha."""
    channels = picture.pixels
    if picture.alpha is not None:
        channels = np.dstack((channels, picture.alpha))
    integers = channels.dtype.kind == "u"
    order = byte_order(metadata.exif) if metadata.exif else "<"
    file = io.BytesIO()
    imwrite(
        file,
        channels,
        byteorder=">" if order == ">" else "<",
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
    data = file.getvalue()
    if not metadata.exif:
        return data
    if data[2:4] in (b"+\0", b"\0+"):
        raise UnsupportedImageError("a TIFF file of over 4 GB cannot hold the EXIF data; pass --strip-metadata")
    return insert_into_tiff(data, metadata.exif)


def is_raw_tiff(data: bytes) -> bool:
    """Whether the TIFF file is a camera's RAW, as far as its first directories can be read."""
    try:
        with TiffFile(io.BytesIO(data)) as tiff:
            return _is_raw(_pages(tiff), data)
    except Exception:  # tifffile raises all kinds of errors
        return False


def _pages(tiff: TiffFile) -> list[TiffPage]:
    return [page for page in (tiff.pages.get(i) for i in range(len(tiff.pages))) if isinstance(page, TiffPage)]


def _full_pages(pages: list[TiffPage]) -> list[TiffPage]:
    """Those that are not reduced (bit 0 of NewSubfileType), previews of another one."""
    return [page for page in pages if not page.subfiletype & 1]


def _is_raw(pages: list[TiffPage], data: bytes) -> bool:
    """Whether there are marks of a RAW file, or nothing but previews: the sensor's own page may lie elsewhere."""
    marked = data[8:10] == b"CR" or any(tag in page.tags for page in pages for tag in _CAMERA_RAW_TAGS)
    return marked or (bool(pages) and not _full_pages(pages))


def _only_page(tiff: TiffFile, data: bytes) -> tuple[TiffPage, list[str]]:
    pages = _pages(tiff)
    full = _full_pages(pages)
    if not pages:
        raise UnreadableImageError("the TIFF file is truncated (it has no page)")
    if _is_raw(pages, data):
        raise UnsupportedImageError("a camera's raw file; develop it first, or see restorekit demosaic")
    if len(full) != 1:
        raise UnsupportedImageError(f"a TIFF file of {len(full)} pages; split it into one file a page")
    return full[0], ["smaller preview pages left out"] if len(pages) > 1 else []


def _check_directory(page: TiffPage, data: bytes) -> None:
    """Refuse a page of which tags, or the next page, lie beyond the end of the file: tifffile goes on without them."""
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
        raise UnsupportedImageError(
            f"a TIFF file of {page.samplesperpixel} channels and {page.shaped[1]} planes; "
            "save it as grey or RGB with at most one alpha channel"
        )
    integer = page.dtype is not None and page.dtype.kind in "ub" and page.bitspersample <= 16
    if not integer and page.dtype not in _FLOATS:
        kind = page.dtype.name if page.dtype is not None else "unknown"
        raise UnsupportedImageError(f"a TIFF file of {kind} samples; convert it to uint8, uint16 or float32")


def _check_complete(page: TiffPage, size: int) -> None:
    """Refuse strips or tiles that are missing or end after the file does: tifffile fills some of these with zeros."""
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(count <= 0 or offset <= 0 or offset + count > size for offset, count in segments):
        raise UnreadableImageError("the TIFF file is truncated or damaged (its pixel data is incomplete)")


def _read_channels(page: TiffPage) -> tuple[Pixels, list[str]]:
    """[H, W, S] in native byte order, and notes."""
    notes: list[str] = []
    array = page.asarray(squeeze=False)  # [separate samples, depth, length, width, interleaved samples]
    separate = page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    channels: Pixels = np.moveaxis(array[:, 0, :, :, 0], 0, -1) if separate else array[0, 0]
    if channels.dtype.kind == "f":
        if not np.isfinite(channels).all():
            raise UnsupportedImageError("the picture holds NaN or infinite values; replace them first")
        return channels.astype(channels.dtype.newbyteorder("="), copy=False), notes
    bits = page.bitspersample
    if page.photometric == PHOTOMETRIC.PALETTE:
        if page.colormap is None:
            raise UnreadableImageError("the TIFF file has a palette picture but no palette")
        # Some writers store 8-bit colours in the palette's 16-bit fields.
        palette = page.colormap if page.colormap.max() < 256 else page.colormap >> 8
        channels = palette.T.astype(np.uint8)[channels[..., 0]]
        if _ICC_TAG not in page.tags:
            channels = collapse_grey(channels)
        return channels, [f"palette expanded to {'RGB' if channels.shape[2] == 3 else 'grey'}"]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        channels = channels.copy()
        channels[..., 0] = (1 << bits) - 1 - channels[..., 0].astype(np.uint16)
        notes.append("white-is-zero grey inverted")
    if bits in (8, 16):
        return channels.astype(channels.dtype.newbyteorder("="), copy=False), notes
    channels = scale_to_depth(channels.astype(np.uint16), (1 << bits) - 1)
    return channels, [*notes, f"{bits}-bit samples expanded to {channels.dtype.itemsize * 8} bits"]


def _int_tag(page: TiffPage, code: int, default: int) -> int:
    tag = page.tags.get(code)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else default


def _resolution(page: TiffPage) -> tuple[float, float] | None:
    inches = _INCHES_PER_UNIT.get(_int_tag(page, _UNIT_TAG, 2))
    x, y = _rational_tag(page, _X_RESOLUTION_TAG), _rational_tag(page, _Y_RESOLUTION_TAG)
    return (x / inches, y / inches) if inches and x and y else None


def _rational_tag(page: TiffPage, code: int) -> float:
    """The tag's value, 0 where there is none that makes sense."""
    tag = page.tags.get(code)
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2 or not tag.value[1]:
        return 0.0
    return float(tag.value[0] / tag.value[1])
