"""The dictionary as a picture, and one patch as the sum of its atoms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.display.detail import Pixels8
from restorekit.explain.drawing import PAPER, enlarged, sheet
from restorekit.explain.network import PatchDictionary
from restorekit.explain.trajectory import Trajectory

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
