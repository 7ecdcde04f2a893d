"""JPEG as a format and as a degradation: written, simulated in memory, and how a file was compressed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from restorekit.errors import UnsupportedImageError
from restorekit.image.formats import FORMATS
from restorekit.image.picture import JpegCoding, Metadata, Picture

EXIF_PREFIX = b"Exif\0\0"

_WRITTEN_QUALITY = 95


def encode_jpeg(picture: Picture, metadata: Metadata, quality: int | None = None) -> bytes:
    """A JPEG file. None: of quality 95 with colour at full resolution; else as `recompress` has it."""
    file = io.BytesIO()
    Image.fromarray(picture.pixels).save(
        file,
        "JPEG",
        quality=_WRITTEN_QUALITY if quality is None else quality,
        subsampling="4:4:4" if quality is None else "4:2:0",
        exif=EXIF_PREFIX + metadata.exif if metadata.exif else b"",
        icc_profile=metadata.icc,
        dpi=metadata.dpi or (0, 0),
    )
    return file.getvalue()


def recompress(pixels: npt.NDArray[np.uint8], quality: int | Sequence[int]) -> npt.NDArray[np.uint8]:
    """What a JPEG of that quality makes of an image: [H, W] or [H, W, 3], compressed with 4:2:0 colour and decoded.

    Instead of a quality a table may be given, 64 quantisation steps row by row, of luma and chroma alike.

    Raises:
        UnsupportedImageError: a side of more than 65500 pixels.
    """
    most = FORMATS["jpeg"].max_side
    if max(pixels.shape[:2]) > most:
        raise UnsupportedImageError(f"JPEG holds at most {most} pixels a side")
    file = io.BytesIO()
    if isinstance(quality, Sequence):
        # Pillow scales given tables, too, and at quality 50 by one.
        Image.fromarray(pixels).save(file, "JPEG", quality=50, subsampling="4:2:0", qtables=[list(quality)])
    else:
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    file.seek(0)
    with JpegImageFile(file) as image:
        return np.array(image)


def coding_of(image: JpegImageFile) -> JpegCoding | None:
    """How a grey or colour JPEG was compressed; None where its tables are missing, so that it is damaged anyway."""
    tables, components = image.quantization, image.layer
    try:
        luma, *chroma = [tuple(tables[component[3]]) for component in components]
    except (KeyError, ValueError):
        return None
    if not chroma:
        return JpegCoding(luma)
    across, down = (max(component[axis] for component in components) for axis in (1, 2))
    # Cb and Cr hardly ever differ; where they do, the coarser of both is what matters.
    return JpegCoding(luma, max(chroma, key=sum), (across // components[1][1] or 1, down // components[1][2] or 1))
