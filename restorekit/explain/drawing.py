"""Drawing on arrays: colours for numbers, enlargement, frames, sheets of small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.display.detail import Pixels8

Colours = tuple[tuple[int, int, int], ...]
"""Evenly spaced points on a scale, to be interpolated; both scales below grow lighter steadily, so read in grey too."""

VIRIDIS: Colours = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140),
    (40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
MAGMA: Colours = (
    (0, 0, 4), (29, 17, 71), (81, 18, 124), (131, 38, 129), (183, 55, 121),
    (231, 82, 99), (252, 137, 97), (254, 196, 136), (252, 253, 191),
)  # fmt: skip

PAPER = 20
"""The grey between the pictures of a sheet."""


def coloured(values: NDArray[Any], top: float, colours: Colours) -> Pixels8:
    """Numbers from 0 to `top`, any shape, as RGB in one more dimension; those above look like `top`."""
    place = np.clip(values / top, 0, 1)
    points = np.linspace(0, 1, len(colours))
    channels = [np.interp(place, points, [colour[channel] for colour in colours]) for channel in range(3)]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def enlarged(pixels: NDArray[Any], times: int) -> NDArray[Any]:
    """Every pixel as `times` x `times` equal ones."""
    return pixels.repeat(times, 0).repeat(times, 1)


def as_rgb(pixels: Pixels8) -> Pixels8:
    """A copy with three channels, which can be drawn on in colour."""
    return np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels.copy()


def draw_frame(
    pixels: Pixels8, top: int, left: int, height: int, width: int, colour: Sequence[int], thickness: int
) -> None:
    """Draw the outline of a rectangle, inside it, on an RGB image; what lies outside the image is left out."""
    # As slices of the whole image, negative ones would count from its end.
    rows = np.arange(pixels.shape[0])[:, None] - top
    cols = np.arange(pixels.shape[1])[None] - left
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    core = (rows >= thickness) & (rows < height - thickness) & (cols >= thickness) & (cols < width - thickness)
    pixels[inside & ~core] = colour


def sheet(pictures: Sequence[Pixels8], columns: int, gap: int) -> Pixels8:
    """Pictures of one size in rows of `columns`, `gap` pixels around each."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, *pictures[0].shape[2:])
    whole = np.full(shape, PAPER, np.uint8)
    for index, picture in enumerate(pictures):
        row, col = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + col * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def at_centres(values: Pixels8, height: int, width: int, patch_size: int, stride: int) -> tuple[Pixels8, Pixels8]:
    """A colour [rows, cols, 3] for each patch of a grid, drawn at its centre: RGB and alpha of a window.

    The edge of the window, where no patch has its centre, is transparent.
    """
    blocks = enlarged(values, stride)
    top = left = (patch_size - stride) // 2
    blocks = blocks[: height - top, : width - left]
    pixels = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    place = np.s_[top : top + blocks.shape[0], left : left + blocks.shape[1]]
    pixels[place], alpha[place] = blocks, 255
    return pixels, alpha
