"""The page of an explanation with its drawings embedded, the larger of them also as files beside it."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit._version import __version__
from restorekit.batch.files import Restored
from restorekit.batch.run import Operation
from restorekit.errors import OutputError, UsageError
from restorekit.explain import trace
from restorekit.image import Picture, check_output, show_path, write_file
from restorekit.inference.runner import as_pixels
from restorekit.models import CsSparseCoding, SparseCoding, UnrolledADMM
from restorekit.models.kspace import PatchCoding
from restorekit.numerics.metrics import psnr
from restorekit.pages.figures import Figure, Pixels8, Region, draw_figure, render, round_up, to_8_bits
from restorekit.zoo import LoadedModel

Image = NDArray[np.float32]
PAGE = "index.html"
WIDE, NEIGHBOURHOOD, OVERVIEW, TILE, THUMBNAIL = 512, 600, 320, 84, 72
"""Pixels of the page for a window, a neighbourhood, the whole image, a patch, and the detail of a step: about."""
DETAIL = 40
"""Pixels of the window in the detail of a step."""
MOST_TERMS = 8
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
        return np.asarray(np.rint(np.stack(channels, -1)), np.uint8)


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
    known = "models of sparse coding do, whose names end in -sc, -groupsc, -sc-var or -admm"
    raise UsageError(f"{model.card.name} has no dictionary that can be drawn; {known}")


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


def zero_as_grey(image: Image, largest: float) -> Pixels8:
    """Return an image for display: zero is mid grey, `largest` white, its negative black."""
    return np.asarray(np.rint(127.5 + 127.5 / max(largest, 1e-12) * image), np.uint8)


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


def as_patch(row: Tensor, size: int) -> Image:
    """Return a row of m numbers as [p, p] or [p, p, 3]."""
    planes = row.view(1, -1, size, size)
    return as_pixels(planes, 2 if planes.shape[1] == 1 else 3)


@dataclass(frozen=True)
class Term:
    """An atom of W times its coefficient in a patch: `contribution`, [p, p] or [p, p, 3].

    number: in `order_of_atoms`, from 0. amount: the coefficient of the atom scaled to norm 1, for pixels in [0, 1].
    """

    number: int
    amount: float
    contribution: Image


def terms_of(coding: trace.CodingTrace, patch: int, order: list[int]) -> list[Term]:
    """Return the terms of a patch's estimate, the largest first. With the patch's mean they sum to the estimate."""
    codes, terms = coding.codes[patch], []
    for number, atom in enumerate(order):
        if codes[atom] != 0:
            contribution = codes[atom] * coding.atoms[atom]
            amount = float(codes[atom].sign() * torch.linalg.vector_norm(contribution))
            terms.append(Term(number, amount, as_patch(contribution, coding.patch_size)))
    return sorted(terms, key=lambda term: -abs(term.amount))


@dataclass(frozen=True)
class Step:
    """The window after a step. detail: the place of the patch. score: PSNR in dB, where the truth is known.

    change: root mean square of the difference to the window before the step, on the scale 0 to 255.
    """

    estimate: Figure
    detail: Figure
    score: float | None
    change: float


class Explanation:
    """What the template shows of a subject: numbers as attributes, figures as methods that draw them.

    files: the PNG files beside the page by name, each once it is drawn.
    """

    def __init__(self, subject: trace.Subject) -> None:
        self.subject, self.coding = subject, subject.coding
        self.version = __version__
        self.files: dict[str, bytes] = {}
        self.scale = max(1, round(WIDE / max(subject.region.height, subject.region.width)))
        self.before, self.result = np.clip(subject.observed, 0, 1), subject.estimates[-1]
        clean, images = subject.clean, (subject.run.observed, subject.run.restored)
        self.whole_scores = None if clean is None else [psnr(image, clean) for image in images]
        self.size, self.patch = self.coding.patch_size, self.coding.region(subject.patch)
        self.order = order_of_atoms(subject.network)
        self.terms = terms_of(self.coding, subject.patch, self.order)
        self.weights = trace.weights_of(self.coding, subject.patch)
        self.estimate = as_patch(self.coding.patches[subject.patch], self.size)
        self.times = max(1, round(TILE / self.size))
        self.neighbourhood = self._neighbourhood()
        self.overlap = math.ceil(self.size / self.coding.grid.stride) ** 2
        self.parameter_count = sum(parameter.numel() for parameter in subject.network.parameters())
        self.counts = trace.atom_counts(self.coding)
        self.count_scale = Scale(_top(self.counts, 1), "atoms", VIRIDIS)
        self.spread = 255 * trace.without_grid(trace.patch_spread(self.coding), self.coding.grid.stride)
        self.median_count, self.median_spread = float(np.median(self.counts)), float(np.median(self.spread))
        self.spread_scale = Scale(_top(self.spread, 0), "of 255", MAGMA)

    def draw(self, name: str, pixels: Pixels8, scale: float | None = None, alpha: Pixels8 | None = None) -> Figure:
        """Return a figure that is also the file `name`.png, by default at the scale of the window."""
        figure = draw_figure(pixels, name.replace("-", " "), self.scale if scale is None else scale, alpha)
        self.files[f"{name}.png"] = figure.png
        return figure

    def views(self) -> list[tuple[str, Figure, float | None]]:
        """Draw the window as it was, as it became and, where that is known, as it should be: name, figure and PSNR."""
        before, score = self.subject.wording.before, self.subject.score
        marked = as_rgb(to_8_bits(self.result))
        frame = Region(self.patch.top - 1, self.patch.left - 1, self.size + 2, self.size + 2)
        draw_frame(marked, frame, FRAME, 1)
        views = [
            (before.capitalize(), self.draw(before, to_8_bits(self.before)), score(self.before)),
            ("Restored", self.draw("result", marked), score(self.result)),
        ]
        if self.subject.truth is not None:
            views.append(("The truth", self.draw("clean", to_8_bits(self.subject.truth)), None))
        return views

    def overview(self) -> Figure:
        """Draw the whole image, made smaller, with the window framed."""
        image, region = self.subject.run.restored, self.subject.region
        height, width = image.shape[:2]
        step = min(-(-max(height, width) // OVERVIEW), height, width)
        rows, cols = height // step, width // step
        blocks = image[: rows * step, : cols * step].reshape(rows, step, cols, step, *image.shape[2:])
        pixels = as_rgb(to_8_bits(blocks.mean((1, 3))))
        frame = Region(region.top // step, region.left // step, -(-region.height // step), -(-region.width // step))
        draw_frame(pixels, frame, FRAME, 2)
        return self.draw("overview", pixels, 1)

    @cached_property
    def steps(self) -> list[Step]:
        """Draw the window after each step."""
        starts = zip((self.patch.top, self.patch.left), self.result.shape[:2], strict=True)
        top, left = (min(max(s + self.size // 2 - DETAIL // 2, 0), max(length - DETAIL, 0)) for s, length in starts)
        detail = Region(top, left, DETAIL, DETAIL)
        steps, last = [], self.before
        for number, estimate in enumerate(self.subject.estimates, 1):
            around = draw_figure(to_8_bits(detail.cut(estimate)), f"step {number}, detail", THUMBNAIL / DETAIL)
            figure = self.draw(f"step-{number:02}", to_8_bits(estimate))
            steps.append(Step(figure, around, self.subject.score(estimate), 255 * _rms(estimate - last)))
            last = estimate
        return steps

    def maps(self) -> tuple[Figure, Figure]:
        """Draw how many atoms each patch is made of, and how far the patches' estimates of each pixel lie apart."""
        colours, (height, width) = self.count_scale.colour(self.counts), self.result.shape[:2]
        counts, alpha = at_centres(colours, height, width, self.size, self.coding.grid.stride)
        spread = self.spread_scale.colour(self.spread)
        return self.draw("atom-counts", counts, alpha=alpha), self.draw("confidence", spread)

    def error_map(self, clean: Image) -> tuple[Figure, float, float, float]:
        """Draw the true error; with its root mean square everywhere, and where the patches agree best and least."""
        difference = 255 * (self.result - clean)
        error = np.abs(difference) if difference.ndim == 2 else np.sqrt(np.square(difference).mean(2))
        figure = self.draw("error", self.spread_scale.colour(error))
        return figure, _rms(difference), *trace.errors_where_unsure(self.spread, error)

    def _stretched(self, image: Image) -> Pixels8:
        """Stretch the contrast, in the same way for all pictures of the patch, so that they can be compared."""
        images = (self.patch.cut(self.subject.observed), self.estimate)
        low = min(float(image.min()) for image in images)
        high = max(*(float(image.max()) for image in images), low + 8 / 255)
        return to_8_bits((image - low) / (high - low))

    def _tile(self, pixels: Pixels8) -> Figure:
        return draw_figure(enlarged(pixels, self.times), "patch")

    def ends(self) -> list[tuple[str, Figure]]:
        """Draw the patch before, after and, where that is known, as it should be."""
        ends = [(self.subject.wording.before, self.patch.cut(self.subject.observed)), ("restored", self.estimate)]
        ends += [] if self.subject.truth is None else [("the truth", self.patch.cut(self.subject.truth))]
        return [(name, self._tile(self._stretched(image))) for name, image in ends]

    def parts(self) -> list[tuple[Figure, Figure, tuple[str, str]]]:
        """Draw the mean of the patch, then its terms, the smaller ones as one: each, the sum so far, and two captions.

        The file patch.png shows the patch before and after, and all parts.
        """
        kept = self.terms if len(self.terms) <= MOST_TERMS else self.terms[: MOST_TERMS - 1]
        amounts = [f"{255 * term.amount:+.0f}".replace("-", "−") for term in kept]
        captions = [(amount, f"no. {term.number + 1}") for amount, term in zip(amounts, kept, strict=True)]
        added: list[Image] = [term.contribution for term in kept]
        if others := self.terms[len(kept) :]:
            captions.append((f"{len(others)} more", "together"))
            added.append(np.sum([term.contribution for term in others], 0))
        largest = max((float(np.abs(image).max()) for image in added), default=1.0)
        mean = float(self.coding.means[self.subject.patch, 0])
        total: Image = np.full_like(self.estimate, mean)
        strip = [self._stretched(image) for image in (self.patch.cut(self.subject.observed), self.estimate, total)]
        parts = [(self._tile(strip[-1]), self._tile(strip[-1]), ("mean", f"{255 * mean:.0f}"))]
        for caption, image in zip(captions, added, strict=True):
            total = total + image
            strip.append(zero_as_grey(image, largest))
            parts.append((self._tile(strip[-1]), self._tile(self._stretched(total)), caption))
        self.draw("patch", enlarged(sheet(strip, len(strip)), self.times))
        return parts

    def atoms(self) -> Figure:
        """Draw all atoms of W, with those of the patch framed."""
        chosen = [term.number for term in self.terms]
        return self.draw("atoms", draw_atoms(self.coding.atoms[self.order], self.size, chosen), 0.7)

    def _neighbourhood(self) -> Region:
        """Return a part of the window that holds the patch and its neighbours."""
        regions = [self.coding.region(index) for index in self.weights]
        height, width = self.result.shape[:2]
        top, rows = _span([region.top for region in regions], self.size, height)
        left, cols = _span([region.left for region in regions], self.size, width)
        return Region(top, left, rows, cols)

    def similar_places(self) -> Figure:
        """Draw the neighbourhood: the patch in a frame, its neighbours in lighter ones the more they weigh."""
        view = self.neighbourhood
        times = max(2, NEIGHBOURHOOD // max(view.height, view.width))
        pixels = enlarged(as_rgb(to_8_bits(view.cut(self.result))), times)
        _, *shares = self.weights.values()
        scale = Scale(max(shares, default=1.0), "", VIRIDIS)
        for index, share in reversed(self.weights.items()):
            colour = FRAME if index == self.subject.patch else scale.colour(np.asarray(share)).tolist()
            place, side = self.coding.region(index), self.size * times
            frame = Region((place.top - view.top) * times, (place.left - view.left) * times, side, side)
            draw_frame(pixels, frame, colour, 2)
        return self.draw("similar-places", pixels, 0.9)

    def pairs(self) -> list[tuple[Figure, float]]:
        """Draw the patch and its neighbours, observed over restored, each with its weight."""
        places = [self.coding.region(index) for index in self.weights]
        images = (self.subject.observed, self.result)
        pairs = [np.vstack([self._stretched(place.cut(image)) for image in images]) for place in places]
        times = max(1, round(TILE / 2 / self.size))
        self.draw("similar", enlarged(sheet(pairs, len(pairs)), times))
        drawn = [draw_figure(enlarged(pair, times), "patch") for pair in pairs]
        return list(zip(drawn, self.weights.values(), strict=True))


def _top(values: NDArray[Any], least: float) -> float:
    return float(round_up(max(least, float(np.percentile(values, 99.5)))))


def _rms(values: Image) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def _span(starts: list[int], size: int, length: int) -> tuple[int, int]:
    """Return start and length of a span that holds all patches, one more on each side, and eight at least."""
    first, last = max(min(starts) - size, 0), min(max(starts) + 2 * size, length)
    extent = max(last - first, min(8 * size, length))
    return max(0, min(first - (extent - last + first) // 2, length - extent)), extent


def render_explanation(subject: trace.Subject) -> dict[str, bytes]:
    """Return the files of an explanation, by name: its pictures, and after them the page."""
    explanation = Explanation(subject)
    page = render("explanation.html.jinja", explanation)
    return {**explanation.files, PAGE: page.encode()}


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the path is taken by anything but an empty folder. Ask before work starts."""
    try:
        if not overwrite and any(folder.iterdir()):
            raise OutputError(f"{show_path(folder)}: a folder with files in it; name a new one, or pass --overwrite")
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise OutputError(f"{show_path(folder)}: no folder, and in the way of one") from None
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be looked into ({error.strerror})") from error


def check_apart(folder: Path, pictures: Iterable[Path]) -> None:
    """Raise OutputError if a picture lies in the folder, where a file of the page might replace it."""
    place = os.path.realpath(folder)
    for picture in pictures:
        if place in (os.path.realpath(picture.parent), str(Path(os.path.realpath(picture)).parent)):
            raise OutputError(f"{show_path(folder)}: holds {show_path(picture)}; name a folder of the page's own")


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write the files in their order, each whole or not at all. Raises OutputError, where it can before the first."""
    check_folder(folder, overwrite=overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{show_path(folder)}: cannot be made a folder ({error.strerror})") from error
    for name in files:
        check_output(folder / name, overwrite=overwrite)
    for name, data in files.items():
        write_file(folder / name, data, overwrite=overwrite)


@dataclass(frozen=True)
class Explained:
    """An operation for `run_batch` on one picture, which also leaves a page on how it went in a folder.

    name: the picture's, for people. folder: new, empty, or written over if `overwrite` is true. at: the pixel to look
    at, x and y; None for the most detailed place. reference: the clean picture, where there is one.
    """

    operation: Operation
    name: str
    folder: Path
    overwrite: bool
    at: tuple[int, int] | None = None
    reference: Picture | None = None

    def __call__(self, picture: Picture) -> Restored:
        """Return the picture restored, once the folder is written. Raises what `Subject` and `write_folder` raise."""
        restored = self.operation(picture)
        assert isinstance(restored, Restored)
        run = restored.trace
        clean = None if self.reference is None else run.truth_of(self.reference)
        subject = trace.Subject(self.name, run, restored.parameters, clean, self.at)
        write_folder(self.folder, render_explanation(subject), overwrite=self.overwrite)
        return replace(restored, notes=(*restored.notes, f"explained in {show_path(self.folder / PAGE)}"))
