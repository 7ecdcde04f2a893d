"""Reading a picture: the format from the content, the pixels in the file's own depth, upright, with its metadata."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from restorekit.errors import ImageError, OutputError, RestorekitError, UnreadableImageError, UnsupportedImageError
from restorekit.image.codecs import (
    decode_png,
    decode_pnm,
    decode_with_pillow,
    encode_jpeg,
    encode_png,
    encode_pnm,
    encode_with_pillow,
)
from restorekit.image.formats import FORMATS, check_encodable, file_format_of, format_of_content
from restorekit.image.metadata import MalformedExifError, reset_orientation
from restorekit.image.picture import Metadata, Picture, turn_upright
from restorekit.image.raw import decode_raw, is_raw
from restorekit.image.tiff import decode_tiff, encode_tiff


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


_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


def encode_picture(
    picture: Picture, file_format: str, *, strip_metadata: bool = False, jpeg_quality: int | None = None
) -> bytes:
    """The bytes of a file that holds the picture exactly (JPEG: see `encode_jpeg`) with its EXIF data and profile.

    `file_format`: png, tiff, jpeg, webp, bmp or pnm. Raises UnsupportedImageError if that cannot hold the picture.
    """
    check_encodable(picture, file_format, strip_metadata=strip_metadata)
    metadata = Metadata(file_format) if strip_metadata else picture.metadata
    try:
        if file_format == "png":
            return encode_png(picture, metadata)
        if file_format == "tiff":
            return encode_tiff(picture, metadata)
        if file_format == "pnm":
            return encode_pnm(picture)
        if file_format == "jpeg":
            return encode_jpeg(picture, metadata, jpeg_quality)
        return encode_with_pillow(picture, file_format, metadata)
    except (RestorekitError, MemoryError):
        raise
    except Exception as error:  # encoders raise all kinds of errors
        reason = " ".join(str(error).split())
        raise UnsupportedImageError(f"the picture cannot be written as {file_format.upper()} ({reason})") from error


def write_picture(
    path: Path, picture: Picture, *, overwrite: bool, strip_metadata: bool = False, jpeg_quality: int | None = None
) -> None:
    """Write the picture in the format of the path's suffix; see `write_file` and `encode_picture`."""
    check_output(path, overwrite=overwrite)
    try:
        data = encode_picture(picture, file_format_of(path), strip_metadata=strip_metadata, jpeg_quality=jpeg_quality)
    except ImageError as error:
        raise type(error)(f"{show_path(path)}: {error}") from error
    write_file(path, data, overwrite=overwrite)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if nothing can be written to the path: to be asked before work starts."""
    target = _target_of(path)
    try:
        status = target.lstat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise OutputError(f"{show_path(path)}: there is no folder {show_path(target.parent)}") from None
        _check_folder(path, target.parent)
        return
    except OSError as error:
        raise _output_error(path, error) from error
    if stat.S_ISLNK(status.st_mode):
        raise OutputError(f"{show_path(path)}: a symbolic link that leads back to itself")
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{show_path(path)}: a folder is in the way")
    if not stat.S_ISREG(status.st_mode):
        raise OutputError(f"{show_path(path)}: not a regular file, so it is not replaced")
    if not overwrite:
        raise OutputError(f"{show_path(path)}: already exists; pass --overwrite to replace it")
    # Renaming over a write-protected file would succeed; the protection is respected nevertheless.
    if not status.st_mode & 0o222:
        raise OutputError(f"{show_path(path)}: is write-protected")
    _check_folder(path, target.parent)


def _check_folder(path: Path, folder: Path) -> None:
    """Raise OutputError if no file can be made in the folder, not even the temporary one of `write_file`."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{show_path(path)}: its folder cannot be written to (read-only, or no permission)")


def write_file(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write all of `data` to a hidden file beside the target, then rename it: at no time is there half a file.

    A symbolic link is written through. A new file's permissions follow the umask, a replaced one's are kept. Whatever
    is raised meanwhile, KeyboardInterrupt included, the hidden file is removed. Raises OutputError.
    """
    check_output(path, overwrite=overwrite)
    target = _target_of(path)
    # The name does not depend on the target's, which may be as long as the file system allows.
    temporary = target.with_name(f".restorekit-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _rename(temporary, target, overwrite=overwrite)
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        with suppress(FileNotFoundError, PermissionError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
        return
    try:
        # A hard link fails where the target has come into being meanwhile; a rename would replace it.
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.replace(target)


def _target_of(path: Path) -> Path:
    """Where the path leads through symbolic links, whether or not there is anything yet."""
    return Path(os.path.realpath(path))


def _output_error(path: Path, error: OSError) -> OutputError:
    if isinstance(error, FileExistsError):
        return OutputError(f"{show_path(path)}: already exists; pass --overwrite to replace it")
    return OutputError(f"{show_path(path)}: cannot be written ({error.strerror or error})")
