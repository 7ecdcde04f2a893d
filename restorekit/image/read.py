"""Reading a picture: the format from the content, the pixels in the file's own depth, upright, with its metadata."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

from restorekit.errors import ImageError, RestorekitError, UnreadableImageError, UnsupportedImageError
from restorekit.image.exif import MalformedExifError, reset_orientation
from restorekit.image.formats import FORMATS, format_of_content
from restorekit.image.orientation import turn_upright
from restorekit.image.picture import Picture
from restorekit.image.pillow import decode_with_pillow
from restorekit.image.png import decode_png
from restorekit.image.pnm import decode_pnm
from restorekit.image.raw import decode_raw, is_raw
from restorekit.image.tiff import decode_tiff


def read_picture(source: Path | bytes, *, max_pixels: int | None = None, camera_raw: bool = False) -> Picture:
    """The picture in a file, or in the bytes of one.

    `max_pixels` replaces Pillow's decompression-bomb limit. With `camera_raw`, camera RAW files are read too, as
    mosaics; without it they are refused. Raises UnreadableImageError for what is missing, empty, truncated or no image,
    UnsupportedImageError for what would be restored wrongly, ImageTooLargeError for a bomb, and MissingExtraError for a
    RAW file where rawpy is not installed.
    """
    try:
        data = read_bytes(source) if isinstance(source, Path) else source
        if camera_raw and is_raw(data, source.suffix if isinstance(source, Path) else ""):
            return decode_raw(data, max_pixels)
        picture = _decode(data, max_pixels)
    except ImageError as error:
        if not isinstance(source, Path):
            raise
        raise type(error)(f"{show_path(source)}: {error}") from error
    if isinstance(source, Path):
        suffix, found = source.suffix.lower(), picture.metadata.file_format
        if suffix and suffix not in FORMATS[found].suffixes:
            return replace(picture, notes=(f"the content is {found.upper()} in spite of the name", *picture.notes))
    return picture


def decodes(path: Path, *, max_pixels: int | None = None) -> bool:
    """Whether the file is a complete image that `read_picture` reads.

    Raises UnsupportedImageError for an image of a kind that is not read, so of which this cannot be said.
    """
    try:
        read_picture(path, max_pixels=max_pixels)
    except UnsupportedImageError:
        raise
    except ImageError:
        return False
    return True


def show_path(path: Path) -> str:
    """A path as one printable line: newlines and undecodable bytes escaped, all else as it is."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def read_bytes(path: Path) -> bytes:
    """The content of a regular file. Raises UnreadableImageError, which does not name it."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            raise UnreadableImageError("a folder, not an image file")
        if not stat.S_ISREG(kind):
            # Opening a fifo would wait for a writer for ever.
            raise UnreadableImageError("not a regular file; pipe it to standard input instead")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableImageError("no such file") from None
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _decode(data: bytes, max_pixels: int | None) -> Picture:
    file_format = format_of_content(data)
    try:
        if file_format == "png":
            picture = decode_png(data, max_pixels)
        elif file_format == "tiff":
            picture = decode_tiff(data, max_pixels)
        elif file_format == "pnm":
            picture = decode_pnm(data, max_pixels)
        else:
            picture = decode_with_pillow(data, file_format, max_pixels)
    except (RestorekitError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes the decoders raise nearly anything
        reason = " ".join(str(error).split())
        raise UnreadableImageError(f"the {file_format.upper()} file is truncated or damaged ({reason})") from error
    return _check_profile(_apply_exif(picture))


def _apply_exif(picture: Picture) -> Picture:
    """Turn the picture as its EXIF block asks. A TIFF's own orientation tag has been followed already."""
    exif = picture.metadata.exif
    if not exif or picture.metadata.file_format == "tiff":
        return picture
    try:
        orientation, exif = reset_orientation(exif)
    except MalformedExifError:
        metadata = replace(picture.metadata, exif=b"")
        return replace(picture, metadata=metadata, notes=(*picture.notes, "malformed EXIF data left out"))
    return turn_upright(picture, orientation, exif)


def _check_profile(picture: Picture) -> Picture:
    """Leave out a colour profile that is damaged or for another kind of picture; ICC.1:2022, section 7.2."""
    icc = picture.metadata.icc
    if not icc:
        return picture
    space = icc[16:20]
    if len(icc) < 128 or icc[36:40] != b"acsp" or int.from_bytes(icc[:4], "big") > len(icc):
        note = "malformed ICC profile left out"
    elif space != (b"GRAY" if picture.is_grey else b"RGB "):
        kind = "grey" if picture.is_grey else "RGB"
        note = f"ICC profile for {space.decode('latin-1').strip()} left out of a {kind} picture"
    else:
        return picture
    metadata = replace(picture.metadata, icc=b"")
    return replace(picture, metadata=metadata, notes=(*picture.notes, note))
