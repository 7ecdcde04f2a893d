"""EXIF orientation: the eight ways a camera's picture lies, undone once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restorekit.image.picture import Picture, Pixels

_SWAPS_AXES = (5, 6, 7, 8)
_INVERSES = {6: 8, 8: 6}


def turn_upright(picture: Picture, orientation: int, exif: bytes) -> Picture:
    """The picture turned and mirrored as `orientation` (1 to 8) asks, keeping `exif`, whose tag must be 1 already."""
    dpi = picture.metadata.dpi
    if dpi is not None and orientation in _SWAPS_AXES:
        dpi = dpi[::-1]
    alpha = None if picture.alpha is None else turn(picture.alpha, orientation)
    metadata = replace(picture.metadata, exif=exif, dpi=dpi, orientation=orientation)
    return replace(picture, pixels=turn(picture.pixels, orientation), alpha=alpha, metadata=metadata)


def turn_back(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels as the file has them, given them upright: the inverse of `turn`."""
    return turn(pixels, _INVERSES.get(orientation, orientation))


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Exif 2.32, tag 0x0112: where the stored row 0 and column 0 lie in the picture as it is to be seen."""
    if orientation in _SWAPS_AXES:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
