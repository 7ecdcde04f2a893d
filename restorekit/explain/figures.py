"""Drawing on arrays: colours for numbers, enlargement, frames, sheets of small pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.explain.trace import Trajectory
from restorekit.models import CsSparseCoding, SparseCoding, UnrolledADMM
from restorekit.pages.figures import Pixels8
from restorekit.zoo import LoadedModel

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


class PatchDictionary(Protocol):
    """What codes patches of `patch_size` x `patch_size` pixels in `channels` channels, m numbers each, with p atoms."""

    @property
    def dictionary(self) -> Tensor:
        """D, [m, p]: codes are found with it."""

    @property
    def synthesis(self) -> Tensor:
        """W, [m, p]: estimates are sums of its columns."""

    @property
    def channels(self) -> int:
        """Of a patch."""

    @property
    def patch_size(self) -> int:
        """In pixels."""


def dictionary_of(model: LoadedModel) -> PatchDictionary:
    """What a model codes patches with, be it a part of its network. Raises UsageError for one that does not."""
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


SHEET_WIDTH = 800
"""Pixels across, about."""
GAP = 24
"""Pixels between two sheets."""
NEARLY_GREY = 0.1
"""The share of an atom's energy in its colours, up to which it is sorted among the grey ones."""


@dataclass(frozen=True)
class Term:
    """An atom of W and how much of it a patch takes.

    number: its place in `order_of_atoms`, from 0. amount: the coefficient times the atom's norm, so that it is that of
    an atom of norm 1, on the scale [0, 1] of pixels. contribution: coefficient times atom, [p, p] or [p, p, 3].
    """

    number: int
    amount: float
    contribution: NDArray[np.float32]


def draw_dictionary(coding: PatchDictionary) -> Pixels8:
    """D and, right of it, W: the atoms that codes are found with, and those that estimates are sums of.

    Both in the order of `order_of_atoms`, each atom as light and dark as can be, with lines between them.
    """
    order = order_of_atoms(coding)
    matrices = (coding.dictionary.T[order].cpu(), coding.synthesis.T[order].cpu())
    left, right = (draw_atoms(matrix, coding.patch_size) for matrix in matrices)
    gap = np.full((len(left), GAP, *left.shape[2:]), PAPER, np.uint8)
    return np.hstack((left, gap, right))


def draw_atoms(atoms: Tensor, size: int) -> Pixels8:
    """Rows of m numbers as a sheet of patches, about `SHEET_WIDTH` pixels across."""
    pictures = [normalised(as_patch(atom, size)) for atom in atoms]
    columns = columns_for(len(pictures))
    return enlarged(sheet(pictures, columns, gap=1), times_enlarged(columns, size))


def columns_for(atoms: int) -> int:
    """How many atoms stand in a row of the sheet."""
    return math.ceil(math.sqrt(atoms))


def times_enlarged(columns: int, size: int) -> int:
    """How many pixels across and down the sheet has for one of an atom."""
    return max(1, SHEET_WIDTH // (columns * (size + 1)))


def order_of_atoms(coding: PatchDictionary) -> list[int]:
    """The atoms of W, grey before coloured ones, from coarse to fine, and in each row of the sheet by orientation."""
    atoms = coding.synthesis.T.detach().cpu()
    colour, frequency, angle = _looks(atoms, coding.channels, coding.patch_size)
    order = sorted(range(len(atoms)), key=lambda atom: (bool(colour[atom] > NEARLY_GREY), float(frequency[atom])))
    columns = columns_for(len(order))
    rows = (order[start : start + columns] for start in range(0, len(order), columns))
    return [atom for row in rows for atom in sorted(row, key=lambda atom: float(angle[atom]))]


def _looks(atoms: Tensor, channels: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The share of colour in each atom's energy, its mean frequency, and the direction in which it changes most."""
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


def terms_of(trajectory: Trajectory, patch: int, order: list[int]) -> list[Term]:
    """The atoms that a patch is made of, those with the largest contributions first; with its mean they sum to it."""
    codes = trajectory.codes[patch]
    terms = []
    for number, atom in enumerate(order):
        if codes[atom] != 0:
            contribution = codes[atom] * trajectory.atoms[atom]
            amount = float(codes[atom].sign() * torch.linalg.vector_norm(contribution))
            terms.append(Term(number, amount, as_patch(contribution, trajectory.patch_size)))
    return sorted(terms, key=lambda term: -abs(term.amount))


def as_patch(row: Tensor, size: int) -> NDArray[np.float32]:
    """A row of m numbers as [p, p] or [p, p, 3]."""
    planes = row.view(-1, size, size)
    image: NDArray[np.float32] = (planes[0] if len(planes) == 1 else planes.permute(1, 2, 0)).numpy()
    return image


def normalised(atom: NDArray[np.float32]) -> Pixels8:
    """Nought as mid grey, and the largest number as white or black."""
    largest = max(float(np.abs(atom).max()), 1e-12)
    pixels: Pixels8 = np.rint(127.5 + 127.5 / largest * atom).astype(np.uint8)
    return pixels


WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 34
"""Margins of the curve."""


def round_up(value: float) -> float:
    """The least of 1, 2, 3, 5 times a power of ten that is not below `value`; 1 for nought."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 3, 5, 10) if step * power >= value * (1 - 1e-9))


def colour_bar(top: float, unit: str, colours: Colours) -> str:
    """A bar from 0 to `top`, with ticks at its ends and its middle."""
    stops = ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colours)
    ticks = "".join(f"<span>{tick:g}</span>" for tick in (0, top / 2))
    return (
        f'<div class="bar"><i style="background: linear-gradient(90deg, {stops})"></i>'
        f"<div>{ticks}<span>{top:g} {escape(unit)}</span></div></div>\n"
    )


def curve(values: Sequence[float], title: str, unit: str, marks: Sequence[int], mark: str) -> str:
    """Values after steps 1, 2, ... as a line; `marks`: steps after which something happened, called `mark`."""
    low, high, ticks = _limits([value for value in values if math.isfinite(value)])
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return LEFT + inner_width * (step - 0.5) / len(values)

    def y(value: float) -> float:
        return TOP + inner_height * (high - min(max(value, low), high)) / (high - low)

    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.6g}</text>\n'
        for tick in ticks
    )
    renewed = "".join(
        f'<line class="mark" x1="{x(step + 0.5):.1f}" x2="{x(step + 0.5):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>\n'
        for step in marks
    )
    legend = (
        f'<text class="tick" x="{WIDTH - RIGHT}" y="16" text-anchor="end">┊ {escape(mark)}</text>\n' if marks else ""
    )
    steps = "".join(
        f'<text class="tick" x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{step}</text>\n'
        for step in range(1, len(values) + 1)
    )
    points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in enumerate(values, 1))
    dots = "".join(
        f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="3.5"><title>step {step}: {value:.2f} {escape(unit)}</title>'
        "</circle>\n"
        for step, value in enumerate(values, 1)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n'
        f'<text class="name" x="{LEFT}" y="16">{escape(title)}</text>\n{legend}'
        f'{grid}{renewed}{steps}<polyline points="{points}"/>\n{dots}</svg>\n'
    )


def _limits(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Round limits around the values, and some four ticks between them."""
    least, most = (min(values), max(values)) if values else (0.0, 1.0)
    step = round_up(max(most - least, 1e-3 * max(abs(most), 1e-3)) / 4)
    low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    if low == high:
        high += step
    return low, high, [low + step * index for index in range(round((high - low) / step) + 1)]
