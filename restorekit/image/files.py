"""Picture files: read upright in their own depth with their metadata, and written whole or not at all."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from restorekit.errors import ImageError, ImageTooLargeError, OutputError, UnreadableImageError
from restorekit.image.codecs import decode_picture, encode_picture
from restorekit.image.formats import FORMATS, file_format_of
from restorekit.image.picture import Picture
from restorekit.image.tiff import decode_raw, is_raw


def read_picture(source: Path | bytes, *, max_pixels: int | None = None, camera_raw: bool = False) -> Picture:
    """Return the picture in a file or in the bytes of one.

    `max_pixels` replaces Pillow's decompression-bomb limit. With `camera_raw`, camera RAW files are read too, as
    mosaics. Raises UnreadableImageError for what is missing, empty, truncated or no image, UnsupportedImageError for
    what would be restored wrongly, ImageTooLargeError, and MissingExtraError for RAW files without rawpy.
    """
    suffix = source.suffix.lower() if isinstance(source, Path) else ""
    with naming(source):
        data = read_bytes(source) if isinstance(source, Path) else source
        if camera_raw and is_raw(data, suffix):
            return decode_raw(data, max_pixels)
        picture = decode_picture(data, max_pixels)
    found = picture.metadata.file_format
    if suffix and suffix not in FORMATS[found].suffixes:
        return replace(picture, notes=(f"the content is {found.upper()} in spite of the name", *picture.notes))
    return picture


def decodes(path: Path, *, max_pixels: int | None = None) -> bool:
    """Return whether the file is a complete image. Raises UnsupportedImageError for kinds that are not read."""
    try:
        read_picture(path, max_pixels=max_pixels)
    except (ImageTooLargeError, UnreadableImageError):
        return False
    return True


def show_path(path: Path) -> str:
    """Return a path as one printable line; newlines and undecodable bytes are escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


@contextmanager
def naming(source: Path | bytes, what: str = "") -> Iterator[None]:
    """Put `what` and the path, if there is one, before the message of an ImageError."""
    try:
        yield
    except ImageError as error:
        if not isinstance(source, Path):
            raise
        raise type(error)(f"{what}{show_path(source)}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file. Raises UnreadableImageError, which does not name the file."""
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


def write_picture(
    path: Path, picture: Picture, *, overwrite: bool, strip_metadata: bool = False, jpeg_quality: int | None = None
) -> None:
    """Write the picture in the format of the path's suffix; see `write_file` and `encode_picture`."""
    check_output(path, overwrite=overwrite)
    with naming(path):
        data = encode_picture(picture, file_format_of(path), strip_metadata=strip_metadata, jpeg_quality=jpeg_quality)
    write_file(path, data, overwrite=overwrite)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if nothing can be written to the path. Call it before the work starts."""
    target = Path(os.path.realpath(path))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        mode = 0
    except OSError as error:
        raise _output_error(path, error) from error
    writable = os.access(target.parent, os.W_OK | os.X_OK)
    problems = {  # the first one counts
        f"there is no folder {show_path(target.parent)}": not mode and not target.parent.is_dir(),
        "a symbolic link that leads back to itself": stat.S_ISLNK(mode),
        "a folder is in the way": stat.S_ISDIR(mode),
        "not a regular file, so it is not replaced": mode and not stat.S_ISREG(mode),
        _EXISTS: mode and not overwrite,
        "is write-protected": mode and not mode & 0o222,  # Renaming would succeed, but its protection is respected.
        "its folder cannot be written to (read-only, or no permission)": not writable,
    }
    if reasons := [reason for reason, holds in problems.items() if holds]:
        raise OutputError(f"{show_path(path)}: {reasons[0]}")


def write_file(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write all of `data` to a hidden file beside the target, then rename it, so that there is never half a file.

    A symbolic link is written through. A new file's permissions follow the umask; a replaced file keeps its own. The
    hidden file is removed whatever is raised, KeyboardInterrupt included. Raises OutputError.
    """
    check_output(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    # This name does not depend on the target's, which may be as long as the file system allows.
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


_EXISTS = "already exists; pass --overwrite to replace it"
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)


def _rename(temporary: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        with suppress(FileNotFoundError, PermissionError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
        return
    try:
        # A hard link fails if the target has come into being meanwhile; a rename would replace it.
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        temporary.replace(target)


def _output_error(path: Path, error: OSError) -> OutputError:
    reason = _EXISTS if isinstance(error, FileExistsError) else f"cannot be written ({error.strerror or error})"
    return OutputError(f"{show_path(path)}: {reason}")
