r"""EXIF blocks: read and reset the orientation, move a block into and out of a TIFF file.

A block is a TIFF structure: `II*\0` or `MM\0*`, the offset of a directory (IFD), then directories of 12-byte entries
(tag, type, count, value or offset); see TIFF 6.0, section 2, and Exif 2.32, section 4.5. Blocks are patched in place,
because maker notes hold offsets that a rewritten block would break. All functions raise struct.error for a block that
contradicts itself; callers leave it out and say so.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

_ORIENTATION, _DESCRIPTION, _EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD = 0x0112, 0x010E, 0x8769, 0x8825, 0xA005

# Document name, description, make, model, page name, software, date, artist, host, rating, copyright, Windows' titles.
_DESCRIPTIVE_TAGS = frozenset(
    {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096), _EXIF_IFD, _GPS_IFD}
)

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}

# By tag: the type, and the value's bytes as stored or the directory that it points to.
_Directory: TypeAlias = "dict[int, tuple[int, bytes | _Directory]]"


def reset_orientation(block: bytes) -> tuple[int, bytes]:
    """Return the orientation, 1 to 8 (1 if none is given), and the block with its orientation set to 1.

    The link to the embedded thumbnail is cut, because the thumbnail shows the picture before restoration.
    """
    order, start = _read_header(block)
    patched = bytearray(block)
    orientation = 1
    (count,) = struct.unpack_from(f"{order}H", block, start)
    link = start + 2 + 12 * count
    for position in range(start + 2, link, 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH2x", block, position)
        if tag == _ORIENTATION and kind == 3:
            orientation = value
            struct.pack_into(f"{order}H", patched, position + 8, 1)
    if len(block) >= link + 4:
        patched[link : link + 4] = bytes(4)
    return (orientation if 1 <= orientation <= 8 else 1), bytes(patched)


def exif_of_tiff(tiff: bytes) -> bytes:
    """Return a block of the descriptive tags, EXIF and GPS directories of a classic TIFF's first image, b"" if none."""
    order, start = _read_header(tiff)
    kept = {tag: entry for tag, entry in _read_directory(tiff, order, start).items() if tag in _DESCRIPTIVE_TAGS}
    if _DESCRIPTION in kept and bytes(kept[_DESCRIPTION][1]).startswith(b'{"shape"'):
        del kept[_DESCRIPTION]  # tifffile's note of the array's shape, which another file need not share
    return _make_header(order, 8) + _make_directory(kept, order, 8) if kept else b""


def insert_into_tiff(tiff: bytes, block: bytes) -> bytes:
    """Return a classic one-page TIFF with the block's descriptive tags, EXIF and GPS directories added.

    Both must have the same byte order. The directory is written anew at the end, so the pixels stay where they are.
    """
    order, start = _read_header(tiff)
    block_order, block_start = _read_header(block)
    if order != block_order:
        raise ValueError("the TIFF and the EXIF block differ in byte order")
    described = _read_directory(block, order, block_start).items()
    entries = {tag: entry for tag, entry in described if tag in _DESCRIPTIVE_TAGS}
    entries |= _read_directory(tiff, order, start, follow=False)
    padding = bytes(len(tiff) % 2)
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


def _make_directory(entries: _Directory, order: str, start: int) -> bytes:
    """Return the directory's bytes for offset `start`: entries, a zero link, then the values of over 4 bytes."""
    table = struct.pack(f"{order}H", len(entries))
    values = b""
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
