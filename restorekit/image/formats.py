"""Which file formats there are, how their content is told apart, and what each can hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restorekit.errors import ImageTooLargeError, UnreadableImageError, UnsupportedImageError
from restorekit.image.picture import Picture

DEFAULT_MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3
"""Pillow's decompression-bomb limit: what fits in 256 MiB as RGB bytes."""

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

_FORMAT_OF_SUFFIX = {suffix: name for name, form in FORMATS.items() for suffix in form.suffixes}

FALLBACK_SUFFIXES = (".png", ".tiff")
"""Of what is written where another format cannot hold the pixels: for integers, and for floats."""

supported_suffixes = frozenset(_FORMAT_OF_SUFFIX)
"""Lower-case suffixes of the files a folder is searched for."""

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"P5", "pnm"),
    (b"P6", "pnm"),
)

_FOREIGN_SIGNATURES = (
    (4, b"ftyp", "HEIF, AVIF and MP4"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"P1", "plain or bitmap PNM"),
    (0, b"P2", "plain or bitmap PNM"),
    (0, b"P3", "plain or bitmap PNM"),
    (0, b"P4", "plain or bitmap PNM"),
    (0, b"P7", "PAM"),
    (0, b"PF", "PFM"),
    (0, b"Pf", "PFM"),
)


def format_of_content(data: bytes) -> str:
    """The format a file's first bytes say it has. Raises UnreadableImageError, or Unsupported for a foreign format."""
    if not data:
        raise UnreadableImageError("the file is empty (zero bytes)")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    for signature, name in _SIGNATURES:
        # PNM's signature is two letters that a text may begin with; white space or a comment must follow.
        if data.startswith(signature) and (name != "pnm" or data[2:3] in b" \t\r\n#"):
            return name
    for offset, signature, title in _FOREIGN_SIGNATURES:
        if data.startswith(signature, offset) and (signature[:1] != b"P" or data[2:3] in b" \t\r\n#"):
            raise UnsupportedImageError(f"{title} files are not read; convert it to PNG or TIFF")
    raise UnreadableImageError("not an image (its content is none of PNG, JPEG, TIFF, WebP, BMP, PNM, GIF)")


def file_format_of(path: Path) -> str:
    """The format a file name's suffix asks for. Raises UnsupportedImageError for an unknown one."""
    try:
        return _FORMAT_OF_SUFFIX[path.suffix.lower()]
    except KeyError:
        writable = ", ".join(sorted(s for s, name in _FORMAT_OF_SUFFIX.items() if FORMATS[name].depths))
        raise UnsupportedImageError(f"no image format is known by the suffix {path.suffix!r}; use {writable}") from None


def check_pixels(width: int, height: int, max_pixels: int | None) -> None:
    """Refuse, before any decoding, an empty picture or one over the decompression-bomb limit."""
    limit = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if width < 1 or height < 1:
        raise UnreadableImageError(f"the image is empty ({width} x {height} pixels)")
    if width * height > limit:
        raise ImageTooLargeError(
            f"{width} x {height} pixels are more than the limit of {limit}; "
            f"if the file is to be trusted, raise it with --max-pixels {width * height}"
        )


def check_encodable(picture: Picture, file_format: str, *, strip_metadata: bool = False) -> None:
    """Raise UnsupportedImageError, saying what would work, if the format cannot hold the picture as it is."""
    form = FORMATS.get(file_format)
    name = file_format.upper()
    if form is None or not form.depths:
        raise UnsupportedImageError(f"{name} files are not written; write PNG or TIFF")
    depth = picture.pixels.dtype.name
    if depth not in form.depths:
        able = " or ".join(n.upper() for n, f in FORMATS.items() if depth in f.depths)
        raise UnsupportedImageError(f"{name} cannot hold {depth} pixels; write {able}")
    if picture.alpha is not None and not form.alpha:
        raise UnsupportedImageError(f"{name} cannot hold the alpha channel; write PNG or TIFF")
    if max(picture.pixels.shape[:2]) > form.max_side:
        raise UnsupportedImageError(f"{name} holds at most {form.max_side} pixels a side; write PNG or TIFF")
    if strip_metadata:
        return
    if not form.metadata and (picture.metadata.exif or picture.metadata.icc):
        raise UnsupportedImageError(
            f"{name} cannot hold the EXIF data or colour profile; write PNG or TIFF, or pass --strip-metadata"
        )
    if file_format == "webp" and picture.is_grey and picture.metadata.icc:
        raise UnsupportedImageError("WEBP cannot hold a grey colour profile; write PNG, or pass --strip-metadata")
    if file_format == "jpeg" and len(picture.metadata.exif) > 65000:
        raise UnsupportedImageError("JPEG cannot hold 64 kB of EXIF data; write PNG, or pass --strip-metadata")


def output_suffix_for(picture: Picture, path: Path) -> str:
    """The suffix of `path` where a file so named can hold the picture, else `.png`, or `.tiff` for float pixels."""
    try:
        check_encodable(picture, file_format_of(path))
    except UnsupportedImageError:
        whole, floating = FALLBACK_SUFFIXES
        return floating if picture.pixels.dtype.kind == "f" else whole
    return path.suffix
