"""TIFF structures: TIFF pictures, EXIF blocks, and what camera RAW files hold (by rawpy, which is LibRaw)."""

import io
import logging
import struct
from typing import Any, TypeAlias

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC, TiffPage

from restorekit.errors import UnreadableImageError, UnsupportedImageError
from restorekit.image import picture as pictures
from restorekit.image.formats import check_pixels, import_extra
from restorekit.image.picture import Camera, Metadata, Picture, Pixels

# tifffile logs what it finds wrong with a file, and Python prints that to stderr if nobody handles it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def decode_tiff(data: bytes, max_pixels: int | None) -> Picture:
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
        _check_page(page, len(data))
        notes = ["smaller preview pages left out"] if len(pages) > 1 else []
        channels = _read_channels(page, notes)
        orientation = page.tags.valueof("Orientation")
        icc = bytes(page.tags.valueof("InterColorProfile", b""))
        metadata = Metadata("tiff", icc=icc, dpi=_dpi_of_page(page))
        premultiplied = tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples
    bigtiff = "EXIF data, if any, left out, as it is not read from BigTIFF files"
    exif = _exif_of(data, notes, bigtiff if tiff.is_bigtiff else "malformed EXIF data left out")
    picture = pictures.from_channels(channels, metadata, notes, premultiplied)
    return pictures.turn_upright(picture, orientation if isinstance(orientation, int) else 1, exif)


def encode_tiff(picture: Picture, metadata: Metadata) -> bytes:
    """Encode integers deflated with the horizontal predictor, floats uncompressed, alpha as unassociated alpha."""
    import imageio.v3 as iio
    from imageio.plugins.tifffile_v3 import TifffilePlugin

    channels = picture.channels()
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


def _sort_pages(tiff: tifffile.TiffFile, data: bytes) -> tuple[list[TiffPage], list[TiffPage], bool]:
    """Return all pages, those that are no smaller previews, and whether the file is a camera's RAW."""
    pages = [page for page in (tiff.pages.get(i) for i in range(len(tiff.pages))) if isinstance(page, TiffPage)]
    full = [page for page in pages if not page.subfiletype & 1]
    # It is RAW if it says so, or if there are only previews: the sensor's page may lie elsewhere.
    marked = any(tag in page.tags for page in pages for tag in ("DNGVersion", "CFARepeatPatternDim"))
    return pages, full, marked or data[8:10] == b"CR" or (bool(pages) and not full)


def _check_directory(page: TiffPage, data: bytes) -> None:
    """Refuse a page whose tags or next page lie beyond the end of the file: tifffile goes on without them."""
    tiff = page.parent.tiff
    (declared,) = struct.unpack_from(tiff.tagnoformat, data, page.offset)
    link = page.offset + tiff.tagnosize + declared * tiff.tagsize
    (following,) = struct.unpack_from(tiff.offsetformat, data, link)
    if declared != len(page.tags) or following + tiff.tagnosize > len(data):
        raise UnreadableImageError("the TIFF file is truncated or damaged (its directory is incomplete)")


def _check_page(page: TiffPage, size: int) -> None:
    """Refuse kinds that are not read, and missing strips or tiles, or those that end after the file of `size` bytes."""
    supported = {PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.PALETTE: 1, PHOTOMETRIC.RGB: 3}
    if page.compression == tifffile.COMPRESSION.JPEG:
        supported[PHOTOMETRIC.YCBCR] = 3  # decoded to RGB
    colours = supported.get(PHOTOMETRIC(page.photometric))
    if colours is None:
        kind = "CMYK" if page.photometric == PHOTOMETRIC.SEPARATED else PHOTOMETRIC(page.photometric).name
        raise UnsupportedImageError(f"a TIFF file in {kind} colour; convert it to RGB or grey")
    extra = page.samplesperpixel - colours
    if page.shaped[1] != 1 or extra not in (0, 1) or (extra == 1 and page.photometric == PHOTOMETRIC.PALETTE):
        found = f"{page.samplesperpixel} channels and {page.shaped[1]} planes"
        raise UnsupportedImageError(f"a TIFF file of {found}; save it as grey or RGB with at most one alpha channel")
    integer = page.dtype is not None and page.dtype.kind in "ub" and page.bitspersample <= 16
    if not integer and page.dtype not in (np.float16, np.float32, np.float64):
        kind = page.dtype.name if page.dtype is not None else "unknown"
        raise UnsupportedImageError(f"a TIFF file of {kind} samples; convert it to uint8, uint16 or float32")
    # tifffile fills some missing strips and tiles with zeros.
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not segments or any(count <= 0 or offset <= 0 or offset + count > size for offset, count in segments):
        raise UnreadableImageError("the TIFF file is truncated or damaged (its pixel data is incomplete)")


def _read_channels(page: TiffPage, notes: list[str]) -> Pixels:
    """Return [H, W, S] in native byte order, and add to the notes."""
    array = page.asarray(squeeze=False)  # [separate samples, depth, length, width, interleaved samples]
    separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    channels: Pixels = np.moveaxis(array[:, 0, :, :, 0], 0, -1) if separate else array[0, 0]
    bits = page.bitspersample
    if channels.dtype.kind == "f":
        if not np.isfinite(channels).all():
            raise UnsupportedImageError("the picture holds NaN or infinite values; replace them first")
        return channels.astype(channels.dtype.newbyteorder("="), copy=False)
    if page.photometric == PHOTOMETRIC.PALETTE:
        if page.colormap is None:
            raise UnreadableImageError("the TIFF file has a palette picture but no palette")
        # Some writers store 8-bit colours in the palette's 16-bit fields.
        palette = page.colormap if page.colormap.max() < 256 else page.colormap >> 8
        rgb = palette.T.astype(np.uint8)[channels[..., 0]]
        return pictures.expand_palette(rgb, notes, has_profile="InterColorProfile" in page.tags)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        channels = channels.copy()
        channels[..., 0] = (1 << bits) - 1 - channels[..., 0].astype(np.uint16)
        notes.append("white-is-zero grey inverted")
    if bits in (8, 16):
        return channels.astype(channels.dtype.newbyteorder("="), copy=False)
    notes.append(f"{bits}-bit samples expanded to {8 if bits < 8 else 16} bits")
    return pictures.scale_to_depth(channels.astype(np.uint16), (1 << bits) - 1)


def _dpi_of_page(page: TiffPage) -> tuple[float, float] | None:
    unit, x, y = (page.tags.valueof(name) for name in ("ResolutionUnit", "XResolution", "YResolution"))
    inches = {2: 1.0, 3: 1 / 2.54}.get(unit if isinstance(unit, int) else 2)
    if inches is None or not all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in (x, y)):
        return None
    return pictures.checked_dpi(x[0] / x[1] / inches, y[0] / y[1] / inches)


# EXIF blocks are TIFF structures: `II*\0` or `MM\0*`, the offset of a directory (IFD), then directories of 12-byte
# entries (tag, type, count, value or offset); see TIFF 6.0, section 2, and Exif 2.32, section 4.5. They are patched in
# place, because maker notes hold offsets that a rewritten block would break. The functions raise struct.error for a
# block that contradicts itself; callers leave it out and say so.
_ORIENTATION, _DESCRIPTION, _EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD = 0x0112, 0x010E, 0x8769, 0x8825, 0xA005
# Document name, description, make, model, page name, software, date, artist, host, rating, copyright, Windows' titles.
_DESCRIPTIVE_TAGS = frozenset(
    {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096), _EXIF_IFD, _GPS_IFD}
)
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# By tag: the type, and the value's bytes as stored or the directory that it points to.
_Directory: TypeAlias = "dict[int, tuple[int, bytes | _Directory]]"


def reset_orientation(block: bytes) -> tuple[int, bytes]:
    """Return the orientation, 1 to 8 (1 if none is given), and the block with orientation 1 and no thumbnail."""
    order, start = _read_header(block)
    patched, orientation = bytearray(block), 1
    (count,) = struct.unpack_from(f"{order}H", block, start)
    link = start + 2 + 12 * count
    for position in range(start + 2, link, 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH2x", block, position)
        if tag == _ORIENTATION and kind == 3:
            orientation = value
            struct.pack_into(f"{order}H", patched, position + 8, 1)
    if len(block) >= link + 4:
        patched[link : link + 4] = bytes(4)  # of the thumbnail, which shows the picture before restoration
    return (orientation if 1 <= orientation <= 8 else 1), bytes(patched)


def _exif_of(tiff: bytes, notes: list[str], unread: str) -> bytes:
    """Return a block of the descriptive tags, EXIF and GPS data of a classic TIFF, or b"" and the note `unread`."""
    try:
        order, start = _read_header(tiff)
        kept = _described(tiff, order, start)
        if _DESCRIPTION in kept and bytes(kept[_DESCRIPTION][1]).startswith(b'{"shape"'):
            del kept[_DESCRIPTION]  # tifffile's note of the array's shape, which another file need not share
        return _make_header(order, 8) + _make_directory(kept, order, 8) if kept else b""
    except struct.error:
        notes.append(unread)
        return b""


def insert_into_tiff(tiff: bytes, block: bytes) -> bytes:
    """Return a classic one-page TIFF with the descriptive tags, EXIF and GPS data of a block of the same byte order."""
    (order, start), (block_order, block_start) = _read_header(tiff), _read_header(block)
    if order != block_order:
        raise ValueError("the TIFF and the EXIF block differ in byte order")
    entries = _described(block, order, block_start) | _read_directory(tiff, order, start, follow=False)
    padding = bytes(len(tiff) % 2)  # The directory is written anew at the end, so the pixels stay where they are.
    end = len(tiff) + len(padding)
    return b"".join((_make_header(order, end), memoryview(tiff)[8:], padding, _make_directory(entries, order, end)))


def _read_header(data: bytes) -> tuple[str, int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise struct.error("no TIFF header")
    return order, struct.unpack_from(f"{order}I", data, 4)[0]


def _make_header(order: str, start: int) -> bytes:
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, start)


def _read_directory(data: bytes, order: str, start: int, *, follow: bool = True, depth: int = 0) -> _Directory:
    entries: _Directory = {}
    for index in range(struct.unpack_from(f"{order}H", data, start)[0]):
        position = start + 2 + 12 * index
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, position)
        size = _TYPE_SIZES.get(kind, 0) * count
        if size == 0:
            continue
        where = position + 8 if size <= 4 else struct.unpack_from(f"{order}I", data, position + 8)[0]
        (value,) = struct.unpack_from(f"{size}s", data, where)
        entries[tag] = (kind, value)
        if follow and tag in (_EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD) and depth < 2 and size == 4:
            (sub_start,) = struct.unpack(f"{order}I", value)
            entries[tag] = (4, _read_directory(data, order, sub_start, depth=depth + 1))
    return entries


def _described(data: bytes, order: str, start: int) -> _Directory:
    return {tag: entry for tag, entry in _read_directory(data, order, start).items() if tag in _DESCRIPTIVE_TAGS}


def _make_directory(entries: _Directory, order: str, start: int) -> bytes:
    """Return the directory's bytes for offset `start`: entries, a zero link, then the values of over 4 bytes."""
    table, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, (kind, value) in sorted(entries.items(), key=lambda entry: entry[0]):
        where = start + 2 + 12 * len(entries) + 4 + len(values)
        stored = value if isinstance(value, bytes) else _make_directory(value, order, where)
        count = len(value) // _TYPE_SIZES[kind] if isinstance(value, bytes) else 1
        table += struct.pack(f"{order}HHI", tag, kind, count)
        if len(stored) <= 4:
            table += stored.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", where)
            values += stored + bytes(len(stored) % 2)
    return table + bytes(4) + values


raw_suffixes = frozenset(  # in lower case, of the RAW files that are looked for in a folder
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos"}
    | {".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
# Fujifilm; Panasonic and Leica; Olympus (three); Canon CRW; Minolta; Sigma.
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"II\x1a\0\0\0HEAPCCDR", b"\0MRM", b"FOVb")
_ORIENTATION_OF_FLIP = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}


def is_raw(data: bytes, suffix: str) -> bool:
    """Return whether a file is a camera's RAW by its content, or, for a TIFF that does not say so, by its suffix."""
    if not data.startswith((b"II*\0", b"MM\0*")):
        return data.startswith(_RAW_SIGNATURES) or data[4:12] == b"ftypcrx "  # Canon CR3
    if suffix.lower() in raw_suffixes:
        return True
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            return _sort_pages(tiff, data)[2]
    except Exception:  # tifffile raises all kinds of errors
        return False


def decode_raw(data: bytes, max_pixels: int | None) -> Picture:
    """Return the mosaic (v - black) / (white - black), clipped to [0, 1], as 16-bit grey with its `Camera`.

    It lies as the sensor does: upright, it would have another pattern.
    Raises UnreadableImageError for damaged files and those that LibRaw does not know, UnsupportedImageError for all but
    Bayer patterns of red, green and blue, ImageTooLargeError, and MissingExtraError without rawpy.
    """
    rawpy = import_extra("rawpy", "camera RAW files are read", "raw")
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            check_pixels(raw.sizes.width, raw.sizes.height, max_pixels)
            indices = _colour_indices(raw)
            pixels = _scaled(raw, indices)
            camera, notes = _camera(raw, indices)
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise UnreadableImageError(f"LibRaw cannot read this camera RAW file ({reason})") from error
    exif = _exif_of(data, notes, "EXIF data left out, as it is not read from this kind of RAW file")
    return Picture(pixels, Metadata("tiff", exif=exif, camera=camera), notes=tuple(notes))


def _colour_indices(raw: Any) -> NDArray[np.uint8]:
    """Return which of the sensor's colours the first 2x2 pixels see. Refuses all but Bayer patterns."""
    pattern = raw.raw_pattern
    if pattern is None:
        raise UnsupportedImageError("a RAW file with no mosaic in it (linear DNG, Foveon, pixel shift)")
    if pattern.shape == (6, 6):
        raise UnsupportedImageError("a RAW file of an X-Trans sensor; only Bayer patterns are demosaicked")
    if _letters(raw, pattern) not in ("rggb", "bggr", "grbg", "gbrg"):
        raise UnsupportedImageError("a RAW file of a sensor without a Bayer pattern of red, green and blue")
    # LibRaw counts from the corner of the sensor, whose margins lie in the dark.
    return np.roll(pattern, (-raw.sizes.top_margin, -raw.sizes.left_margin), axis=(0, 1))


def _letters(raw: Any, indices: NDArray[np.uint8]) -> str:
    return "".join(chr(raw.color_desc[index]) for index in indices.flat).lower()


def _scaled(raw: Any, indices: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values, white = raw.raw_image_visible, raw.white_level
    pixels = np.empty(values.shape, np.uint16)
    for row, column in np.ndindex(2, 2):
        black = raw.black_level_per_channel[indices[row, column]]
        if white <= black:
            raise UnreadableImageError(f"the RAW file has white at {white} and black at {black}")
        part = (values[row::2, column::2].astype(np.float32) - black) / (white - black)
        pixels[row::2, column::2] = np.rint(65535 * np.clip(part, 0, 1))
    return pixels


def _camera(raw: Any, indices: NDArray[np.uint8]) -> tuple[Camera, list[str]]:
    notes = []
    balance = np.array(raw.camera_whitebalance[:3], np.float64)
    if not (np.isfinite(balance) & (balance > 0)).all():
        balance = np.array(raw.daylight_whitebalance[:3], np.float64)
        notes.append("no white balance in the RAW file; the camera's for daylight is taken")
    if not (np.isfinite(balance) & (balance > 0)).all():
        raise UnsupportedImageError("a RAW file without white balance, of a camera whose colours LibRaw does not know")
    matrix = np.asarray(raw.color_matrix, np.float64)[:, :3]
    if not (np.isfinite(matrix).all() and np.allclose(matrix.sum(1), 1, atol=0.01)):
        matrix = np.eye(3)
        notes.append("LibRaw does not know the camera's colours; they are taken for those of sRGB")
    white_balance, to_srgb = tuple((balance / balance.min()).tolist()), tuple(map(tuple, matrix.tolist()))
    return Camera(_letters(raw, indices), white_balance, to_srgb, _ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1)), notes
