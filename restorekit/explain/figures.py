"""Drawing on arrays: colours for numbers, frames, and the atoms of a dictionary on a sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.explain.trace import CodingTrace
from restorekit.inference.runner import as_pixels
from restorekit.models import CsSparseCoding, SparseCoding, UnrolledADMM
from restorekit.models.kspace import PatchCoding
from restorekit.pages.figures import Pixels8, Region
from restorekit.zoo import LoadedModel

Colours = tuple[tuple[int, int, int], ...]
"""Evenly spaced points to interpolate between. Both lists below grow steadily lighter, so they can be read in grey."""
VIRIDIS: Colours = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140),
    (40, 174, 128), (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
MAGMA: Colours = (
    (0, 0, 4), (29, 17, 71), (81, 18, 124), (131, 38, 129), (183, 55, 121),
    (231, 82, 99), (252, 137, 97), (254, 196, 136), (252, 253, 191),
)  # fmt: skip
FRAME = (255, 96, 48)
"""The colour that marks what is looked at."""
PAPER = 20
"""The grey between the pictures of a sheet."""
SHEET_WIDTH = 800
"""Pixels across, about."""
NEARLY_GREY = 0.1
"""The share of an atom's energy in its colours up to which it is sorted among the grey ones."""


@dataclass(frozen=True)
class Scale:
    """Colours for numbers from 0 to `top`."""

    top: float
    unit: str
    colours: Colours

    def colour(self, values: NDArray[Any]) -> Pixels8:
        """Return numbers of any shape as RGB in one more dimension; those above the top look like it."""
        place = np.clip(values / self.top, 0, 1)
        points = np.linspace(0, 1, len(self.colours))
        channels = [np.interp(place, points, channel) for channel in zip(*self.colours, strict=True)]
        pixels: Pixels8 = np.rint(np.stack(channels, -1)).astype(np.uint8)
        return pixels


def enlarged(pixels: NDArray[Any], times: int) -> NDArray[Any]:
    """Return every pixel as `times` x `times` equal ones."""
    return pixels.repeat(times, 0).repeat(times, 1)


def as_rgb(pixels: Pixels8) -> Pixels8:
    """Return a copy with three channels, to be drawn on in colour."""
    return np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels.copy()


def draw_frame(pixels: Pixels8, region: Region, colour: Sequence[int], thickness: int) -> None:
    """Draw the outline of a region, inside it, on an RGB image. The region may reach beyond the image."""
    # As slices of the whole image, negative ones would count from its end.
    rows = np.arange(pixels.shape[0])[:, None] - region.top
    cols = np.arange(pixels.shape[1])[None] - region.left
    depth = np.minimum(np.minimum(rows, region.height - 1 - rows), np.minimum(cols, region.width - 1 - cols))
    pixels[(depth >= 0) & (depth < thickness)] = colour


def sheet(pictures: Sequence[Pixels8], columns: int) -> Pixels8:
    """Return pictures of one size in rows of `columns`, with lines of one pixel around each."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    whole = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, *pictures[0].shape[2:]), PAPER, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + 1) + 1, index % columns * (width + 1) + 1
        whole[top : top + height, left : left + width] = picture
    return whole


def at_centres(values: Pixels8, height: int, width: int, patch_size: int, stride: int) -> tuple[Pixels8, Pixels8]:
    """Draw a colour [rows, cols, 3] for each patch of a grid at its centre: RGB and alpha of a window.

    The edge of the window, where no patch has its centre, is transparent.
    """
    start = (patch_size - stride) // 2
    blocks = enlarged(values, stride)[: height - start, : width - start]
    edge = [(start, height - start - blocks.shape[0]), (start, width - start - blocks.shape[1])]
    return np.pad(blocks, [*edge, (0, 0)]), np.pad(np.full(blocks.shape[:2], 255, np.uint8), edge)


PatchDictionary = SparseCoding | PatchCoding
"""Codes patches with D and W, [m, p]: p atoms of m numbers, those of `patch_size`^2 pixels in `channels` channels."""


def dictionary_of(model: LoadedModel) -> PatchDictionary:
    """Return the part of a model's network that codes patches. Raises UsageError if it has none."""
    network = model.network
    part = network.denoiser if isinstance(network, UnrolledADMM) else network
    if isinstance(part, SparseCoding):
        return part
    if isinstance(part, CsSparseCoding):
        return part.coding
    raise UsageError(
        f"{model.card.name} has no dictionary that can be drawn; models of sparse coding do, whose names end in -sc, "
        "-groupsc, -sc-var or -admm"
    )


def draw_dictionary(coding: PatchDictionary) -> Pixels8:
    """Draw D and, right of it, W: the atoms that codes are found with, and those that estimates are sums of.

    Both are in the order of `order_of_atoms`, each atom with its full contrast, with lines between them.
    """
    order = order_of_atoms(coding)
    matrices = (coding.dictionary.T[order].cpu(), coding.synthesis.T[order].cpu())
    left, right = (draw_atoms(matrix, coding.patch_size) for matrix in matrices)
    gap = np.full((len(left), 24, *left.shape[2:]), PAPER, np.uint8)
    return np.hstack((left, gap, right))


def draw_atoms(atoms: Tensor, size: int, chosen: Sequence[int] | None = None) -> Pixels8:
    """Draw rows of m numbers as a square sheet of patches, about `SHEET_WIDTH` pixels across.

    The `chosen` ones, by number, are framed and the others dimmed.
    """
    columns = math.ceil(math.sqrt(len(atoms)))
    times = max(1, SHEET_WIDTH // (columns * (size + 1)))
    step, side = (size + 1) * times, (size + 2) * times
    pictures = [zero_as_grey(as_patch(atom, size), float(atom.abs().max())) for atom in atoms]
    pixels = enlarged(sheet(pictures, columns), times)
    if chosen is None:
        return pixels
    pixels = as_rgb(pixels)
    places = [Region(number // columns * step, number % columns * step, side, side) for number in chosen]
    others = np.ones(pixels.shape[:2], bool)
    for place in places:
        place.cut(others)[...] = False
    pixels[others] = np.rint(PAPER + 0.45 * (pixels[others].astype(np.float64) - PAPER)).astype(np.uint8)
    for place in places:
        draw_frame(pixels, place, FRAME, max(2, times // 2))
    return pixels


def zero_as_grey(image: NDArray[np.float32], largest: float) -> Pixels8:
    """Return an image for display: zero is mid grey, `largest` white, its negative black."""
    pixels: Pixels8 = np.rint(127.5 + 127.5 / max(largest, 1e-12) * image).astype(np.uint8)
    return pixels


def order_of_atoms(coding: PatchDictionary) -> list[int]:
    """Sort the atoms of W: grey before coloured, from coarse to fine, and by orientation in each row of the sheet."""
    atoms = coding.synthesis.T.detach().cpu()
    colour, frequency, angle = _looks(atoms, coding.channels, coding.patch_size)
    order = sorted(range(len(atoms)), key=lambda atom: (bool(colour[atom] > NEARLY_GREY), float(frequency[atom])))
    columns = math.ceil(math.sqrt(len(order)))
    rows = (order[start : start + columns] for start in range(0, len(order), columns))
    return [atom for row in rows for atom in sorted(row, key=lambda atom: float(angle[atom]))]


def _looks(atoms: Tensor, channels: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the share of colour in each atom's energy, its mean frequency, and the direction of its main change."""
    planes = atoms.view(-1, channels, size, size)
    grey = planes.mean(1, keepdim=True)
    energy = planes.square().sum((1, 2, 3)).clamp_min(1e-12)
    colour = (planes - grey).square().sum((1, 2, 3)) / energy
    # A coarse atom's period is longer than the patch: padding makes room to tell how much.
    spectrum = torch.fft.fft2(planes, s=(4 * size, 4 * size)).abs().square().sum(1)
    along = torch.fft.fftfreq(4 * size)
    rows, cols = along[:, None], along[None]
    weight = spectrum / spectrum.sum((1, 2), keepdim=True).clamp_min(1e-12)
    frequency = (weight * (rows.square() + cols.square())).sum((1, 2)).sqrt()
    # The structure tensor's main direction, by its double angle.
    angle = torch.atan2((weight * 2 * rows * cols).sum((1, 2)), (weight * (cols.square() - rows.square())).sum((1, 2)))
    return colour, frequency, angle


def as_patch(row: Tensor, size: int) -> NDArray[np.float32]:
    """Return a row of m numbers as [p, p] or [p, p, 3]."""
    planes = row.view(1, -1, size, size)
    return as_pixels(planes, 2 if planes.shape[1] == 1 else 3)


@dataclass(frozen=True)
class Term:
    """An atom of W times its coefficient in a patch.

    number: its place in `order_of_atoms`, from 0. amount: the coefficient of the atom scaled to norm 1, for pixels in
    [0, 1]. contribution: coefficient times atom, [p, p] or [p, p, 3].
    """

    number: int
    amount: float
    contribution: NDArray[np.float32]


def terms_of(coding: CodingTrace, patch: int, order: list[int]) -> list[Term]:
    """Return the terms of a patch's estimate, the largest first. With the patch's mean they sum to the estimate."""
    codes = coding.codes[patch]
    terms = []
    for number, atom in enumerate(order):
        if codes[atom] != 0:
            contribution = codes[atom] * coding.atoms[atom]
            amount = float(codes[atom].sign() * torch.linalg.vector_norm(contribution))
            terms.append(Term(number, amount, as_patch(contribution, coding.patch_size)))
    return sorted(terms, key=lambda term: -abs(term.amount))
