"""Which file formats there are, how to tell them apart by content, and what each can hold."""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from restorekit.errors import ImageTooLargeError, MissingExtraError, UnreadableImageError, UnsupportedImageError
from restorekit.image.picture import Picture

DEFAULT_MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3  # Pillow's decompression-bomb limit: 256 MiB of RGB bytes
_INTEGERS = frozenset({"uint8", "uint16"})
_FLOATS = frozenset({"float16", "float32", "float64"})


@dataclass(frozen=True)
class Format:
    """What a file format can hold. `depths` is empty for a format that is read but not written."""

    suffixes: tuple[str, ...]
    depths: frozenset[str]
    alpha: bool
    metadata: bool
    max_side: int


FORMATS = {
    "png": Format((".png",), _INTEGERS, alpha=True, metadata=True, max_side=2**31 - 1),
    "tiff": Format((".tif", ".tiff"), _INTEGERS | _FLOATS, alpha=True, metadata=True, max_side=2**31 - 1),
    "jpeg": Format((".jpg", ".jpeg", ".jpe"), frozenset({"uint8"}), alpha=False, metadata=True, max_side=65500),
    "webp": Format((".webp",), frozenset({"uint8"}), alpha=True, metadata=True, max_side=16383),
    "bmp": Format((".bmp",), frozenset({"uint8"}), alpha=False, metadata=False, max_side=2**31 - 1),
    "pnm": Format((".pnm", ".pgm", ".ppm"), _INTEGERS, alpha=False, metadata=False, max_side=2**31 - 1),
    "gif": Format((".gif",), frozenset(), alpha=False, metadata=False, max_side=65535),
}

FALLBACK_SUFFIXES = (".png", ".tiff")  # what to write where a format cannot hold the pixels: integers, floats
_FORMAT_OF_SUFFIX = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}
supported_suffixes = frozenset(_FORMAT_OF_SUFFIX)  # in lower case, of the files that are looked for in a folder
# How the content of each format begins, and of some that are not read.
# A text may begin with the two letters of a PNM file; white space or a comment must follow them.
_END_OF_WORD = rb"([ \t\r\n#]|\Z)"
_SIGNATURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpeg": rb"\xff\xd8\xff",
    "tiff": rb"II[*+]\0|MM\0[*+]",
    "webp": rb"RIFF....WEBP",
    "gif": rb"GIF8[79]a",
    "bmp": rb"BM",
    "pnm": rb"P[56]" + _END_OF_WORD,
    "HEIF, AVIF and MP4": rb"....ftyp",
    "JPEG XL": rb"....JXL |\xff\x0a",
    "JPEG 2000": rb"....jP  |\xff\x4f\xff\x51",
    "Photoshop": rb"8BPS",
    "OpenEXR": rb"v/1\x01",
    "plain or bitmap PNM": rb"P[1-4]" + _END_OF_WORD,
    "PAM": rb"P7" + _END_OF_WORD,
    "PFM": rb"P[Ff]" + _END_OF_WORD,
}


def format_of_content(data: bytes) -> str:
    """Return the format that the content shows. Raises UnreadableImageError, or Unsupported for a known other one."""
    if not data:
        raise UnreadableImageError("the file is empty (zero bytes)")
    found = next((name for name, pattern in _SIGNATURES.items() if re.match(pattern, data, re.DOTALL)), None)
    if found is None:
        raise UnreadableImageError("not an image (its content is none of PNG, JPEG, TIFF, WebP, BMP, PNM, GIF)")
    if found not in FORMATS:
        raise UnsupportedImageError(f"{found} files are not read; convert it to PNG or TIFF")
    return found


def file_format_of(path: Path) -> str:
    """Return the format that a file name's suffix asks for. Raises UnsupportedImageError for an unknown suffix."""
    if path.suffix.lower() in _FORMAT_OF_SUFFIX:
        return _FORMAT_OF_SUFFIX[path.suffix.lower()]
    writable = ", ".join(sorted(suffix for suffix, name in _FORMAT_OF_SUFFIX.items() if FORMATS[name].depths))
    raise UnsupportedImageError(f"no image format is known by the suffix {path.suffix!r}; use {writable}")


def check_pixels(width: int, height: int, max_pixels: int | None) -> None:
    """Refuse an empty picture and one over the decompression-bomb limit. Call it before decoding."""
    limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if width < 1 or height < 1:
        raise UnreadableImageError(f"the image is empty ({width} x {height} pixels)")
    if width * height > limit:
        advice = f"if you trust the file, raise the limit with --max-pixels {width * height}"
        raise ImageTooLargeError(f"{width} x {height} pixels are more than the limit of {limit}; {advice}")


def check_encodable(picture: Picture, file_format: str, *, strip_metadata: bool = False) -> None:
    """Raise UnsupportedImageError if the format cannot hold the picture as it is. The message says what can."""
    form, name = FORMATS.get(file_format), file_format.upper()
    if form is None or not form.depths:
        raise UnsupportedImageError(f"{name} files are not written; write PNG or TIFF")
    depth, metadata = picture.pixels.dtype.name, picture.metadata
    problem, advice = "", "write PNG or TIFF"
    if depth not in form.depths:
        problem = f"cannot hold {depth} pixels"
        advice = "write " + " or ".join(n.upper() for n, f in FORMATS.items() if depth in f.depths)
    elif picture.alpha is not None and not form.alpha:
        problem = "cannot hold the alpha channel"
    elif max(picture.pixels.shape[:2]) > form.max_side:
        problem = f"holds at most {form.max_side} pixels a side"
    elif not strip_metadata:
        advice += ", or pass --strip-metadata"
        if not form.metadata and (metadata.exif or metadata.icc):
            problem = "cannot hold the EXIF data or colour profile"
        elif file_format == "webp" and picture.is_grey and metadata.icc:
            problem = "cannot hold a grey colour profile"
        elif file_format == "jpeg" and len(metadata.exif) > 65000:
            problem = "cannot hold 64 kB of EXIF data"
    if problem:
        raise UnsupportedImageError(f"{name} {problem}; {advice}")


def output_suffix_for(picture: Picture, path: Path) -> str:
    """Return the suffix of `path` if its format can hold the picture, else `.png`, or `.tiff` for float pixels."""
    try:
        check_encodable(picture, file_format_of(path))
    except UnsupportedImageError:
        return FALLBACK_SUFFIXES[picture.pixels.dtype.kind == "f"]
    return path.suffix


def import_extra(package: str, use: str, extra: str) -> Any:
    """Import an optional package. Raises MissingExtraError, which says what it is for and which extra to install."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"{use} by {package}: pip install 'restorekit[{extra}]'") from error
