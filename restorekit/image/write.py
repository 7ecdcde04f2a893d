"""Writing a picture: whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from restorekit.errors import ImageError, OutputError, RestorekitError, UnsupportedImageError
from restorekit.image.formats import check_encodable, file_format_of
from restorekit.image.jpeg import encode_jpeg
from restorekit.image.picture import Metadata, Picture
from restorekit.image.pillow import encode_with_pillow
from restorekit.image.png import encode_png
from restorekit.image.pnm import encode_pnm
from restorekit.image.read import show_path
from restorekit.image.tiff import encode_tiff

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
