"""EXIF blocks: reading and resetting the orientation, and moving a block into and out of a TIFF file.

A block is a TIFF structure: `II*\0` or `MM\0*`, the offset of a directory (IFD), and directories of 12-byte entries
(tag, type, count, value or offset); see TIFF 6.0, section 2, and Exif 2.32, section 4.5. Blocks are patched in place,
for maker notes hold offsets that no rewriting could follow.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_ORIENTATION = 0x0112
_DESCRIPTION = 0x010E
_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_INTEROPERABILITY_IFD = 0xA005
_SUB_IFDS = frozenset({_EXIF_IFD, _GPS_IFD, _INTEROPERABILITY_IFD})

# Document name, description, make, model, page name, software, date, artist, host, rating, copyright, Windows' titles.
_DESCRIPTIVE_TAGS = frozenset(
    {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096), _EXIF_IFD, _GPS_IFD}
)

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


class MalformedExifError(ValueError):
    """The block contradicts itself; the caller leaves it out and says so."""


@dataclass(frozen=True)
class _Entry:
    """One tag: its type, its value's bytes as stored, or the directory that it points to."""

    kind: int
    value: bytes | Mapping[int, _Entry]


def reset_orientation(block: bytes) -> tuple[int, bytes]:
    """The orientation, 1 to 8 (1 where none is given), and the block with the tag set to 1.

    The link to the embedded thumbnail is cut: it shows the picture before restoration.
    """
    order, start = _header(block)
    patched = bytearray(block)
    orientation = 1
    count = _unpack(f"{order}H", block, start)
    for position in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", _slice(block, position, 12))
        if tag == _ORIENTATION and kind == 3:
            orientation = _unpack(f"{order}H", block, position + 8)
            struct.pack_into(f"{order}H", patched, position + 8, 1)
    link = start + 2 + 12 * count
    if len(block) >= link + 4:
        patched[link : link + 4] = bytes(4)
    return (orientation if 1 <= orientation <= 8 else 1), bytes(patched)


def exif_of_tiff(tiff: bytes) -> bytes:
    """The descriptive tags, EXIF and GPS directories of a classic TIFF's first image as a block; empty if none."""
    order, start = _header(tiff)
    kept = {tag: entry for tag, entry in _read_ifd(tiff, order, start).items() if tag in _DESCRIPTIVE_TAGS}
    description = kept.get(_DESCRIPTION)
    if description is not None and bytes(description.value).startswith(b'{"shape"'):
        del kept[_DESCRIPTION]  # tifffile's note of the stored array's shape, which need not be the new file's
    if not kept:
        return b""
    return _make_header(order, 8) + _write_ifd(kept, order, 8)


def insert_into_tiff(tiff: bytes, block: bytes) -> bytes:
    """A classic one-page TIFF with the block's descriptive tags, EXIF and GPS directories added.

    The file must have the block's byte order (`byte_order`). Its directory is written anew at the end, which leaves
    the pixels where they are.
    """
    order, start = _header(tiff)
    block_order, block_start = _header(block)
    if order != block_order:
        raise ValueError("the TIFF and the EXIF block differ in byte order")
    described = _read_ifd(block, order, block_start).items()
    entries = {tag: entry for tag, entry in described if tag in _DESCRIPTIVE_TAGS}
    entries |= _read_ifd(tiff, order, start, follow=False)
    padding = bytes(len(tiff) % 2)
    end = len(tiff) + len(padding)
    return b"".join((_make_header(order, end), memoryview(tiff)[8:], padding, _write_ifd(entries, order, end)))


def byte_order(block: bytes) -> str:
    """'<' or '>'."""
    return _header(block)[0]


def _header(data: bytes) -> tuple[str, int]:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise MalformedExifError("no TIFF header")
    return order, _unpack(f"{order}I", data, 4)


def _make_header(order: str, start: int) -> bytes:
    return struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, start)


def _slice(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise MalformedExifError("an offset points beyond the end")
    return data[start : start + length]


def _unpack(layout: str, data: bytes, start: int) -> int:
    (value,) = struct.unpack(layout, _slice(data, start, struct.calcsize(layout)))
    return int(value)


def _read_ifd(data: bytes, order: str, start: int, *, follow: bool = True, depth: int = 0) -> dict[int, _Entry]:
    entries: dict[int, _Entry] = {}
    for index in range(_unpack(f"{order}H", data, start)):
        position = start + 2 + 12 * index
        tag, kind, count = struct.unpack(f"{order}HHI", _slice(data, position, 8))
        size = _TYPE_SIZES.get(kind, 0) * count
        if size == 0:
            continue
        where = position + 8 if size <= 4 else _unpack(f"{order}I", data, position + 8)
        value = _slice(data, where, size)
        if follow and tag in _SUB_IFDS and depth < 2 and size == 4:
            sub_ifd = _read_ifd(data, order, struct.unpack(f"{order}I", value)[0], depth=depth + 1)
            entries[tag] = _Entry(4, sub_ifd)
        else:
            entries[tag] = _Entry(kind, value)
    return entries


def _write_ifd(entries: Mapping[int, _Entry], order: str, start: int) -> bytes:
    """The directory's bytes as they must stand at offset `start`: entries, a zero link, then the longer values."""
    table = struct.pack(f"{order}H", len(entries))
    values = b""
    values_start = start + 2 + 12 * len(entries) + 4
    for tag in sorted(entries):
        entry = entries[tag]
        where = values_start + len(values)
        if isinstance(entry.value, bytes):
            value, count = entry.value, len(entry.value) // _TYPE_SIZES[entry.kind]
            inline = len(value) <= 4
        else:
            value, count, inline = _write_ifd(entry.value, order, where), 1, False
        table += struct.pack(f"{order}HHI", tag, entry.kind, count)
        if inline:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", where)
            values += value + bytes(len(value) % 2)
    return table + bytes(4) + values
