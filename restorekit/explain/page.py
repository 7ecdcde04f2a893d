"""The pictures of a page: all are embedded in it, and the larger ones are files beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np

from restorekit._version import __version__
from restorekit.batch.files import Restored
from restorekit.batch.run import Operation
from restorekit.errors import OutputError
from restorekit.explain.figures import (
    MAGMA,
    PAPER,
    VIRIDIS,
    Term,
    as_patch,
    as_rgb,
    at_centres,
    colour_bar,
    coloured,
    columns_for,
    curve,
    draw_atoms,
    draw_frame,
    enlarged,
    order_of_atoms,
    round_up,
    sheet,
    terms_of,
    times_enlarged,
)
from restorekit.explain.trace import (
    Neighbour,
    Region,
    Subject,
    atom_counts,
    errors_where_unsure,
    make_subject,
    neighbours_of,
    own_share,
    patch_spread,
    without_grid,
)
from restorekit.image import Metadata, Picture, check_output, show_path, write_file
from restorekit.numerics.metrics import psnr
from restorekit.pages.figures import Pixels8, to_8_bits
from restorekit.pages.page import image, png, render_header, render_page, shown, tab_style, tabs
from restorekit.tasks.base import Image


class Gallery:
    """Makes PNG files of pictures, and elements that show them; `files` are those to be kept, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def keep(self, name: str, pixels: Pixels8, alpha: Pixels8 | None = None) -> bytes:
        """Make the picture the file `name`.png."""
        data = png(Picture(pixels, Metadata("png"), alpha))
        self.files[f"{name}.png"] = data
        return data

    def show(self, name: str, pixels: Pixels8, scale: float, alpha: Pixels8 | None = None) -> str:
        """Keep the picture, and show it `scale` times as large as its pixels."""
        data = self.keep(name, pixels, alpha)
        height, width = pixels.shape[:2]
        return image(data, name.replace("-", " "), round(scale * width), round(scale * height))

    def figure(self, name: str, pixels: Pixels8, caption: str, scale: float, alpha: Pixels8 | None = None) -> str:
        """`show` with a caption under it, which is HTML."""
        element = self.show(name, pixels, scale, alpha)
        return f"<figure>{element}<figcaption>{caption}</figcaption></figure>\n"


STEP_TABS = "steps"
WIDE = 512
"""Pixels of the page that a window takes, about."""
THUMBNAIL = 40
"""Pixels of a window in the small pictures of steps."""
OVERVIEW = 320
FRAME = (255, 96, 48)
"""The colour that marks what is looked at."""


def before_and_after(subject: Subject, gallery: Gallery) -> str:
    """The window as it was, as it became, and as it should be where that is known; and its place in the image."""
    scale = _scale(subject)
    before, wording = np.clip(subject.observed, 0, 1), subject.wording
    result = subject.estimates[-1]
    figures = [
        gallery.figure(
            wording.before, to_8_bits(before), _caption(wording.before.capitalize(), _decibels(subject, before)), scale
        ),
        gallery.figure("result", _marked(subject, result), _caption("Restored", _decibels(subject, result)), scale),
    ]
    if subject.clean is not None:
        clean = to_8_bits(subject.region.cut(subject.clean))
        figures.append(gallery.figure("clean", clean, _caption("The truth", "the reference"), scale))
    patches, size = subject.trajectory.grid.rows * subject.trajectory.grid.cols, subject.trajectory.patch_size
    numbers = sum(parameter.numel() for parameter in subject.network.parameters())
    label = (
        f"{wording.about.format(error=255 * subject.case.conditioning)} The network, all of {numbers:,} numbers, cuts what "
        f"you see into {patches:,} overlapping patches of {size} by {size} pixels, writes each as a sum of atoms, and "
        "averages what the patches say. The small frame marks the patch that is taken apart below."
    )
    return _section("Before and after", label, _panels(figures) + _overview(subject, gallery))


def _overview(subject: Subject, gallery: Gallery) -> str:
    if subject.is_whole:
        return ""
    height, width = subject.case.restored.shape[:2]
    step = min(-(-max(height, width) // OVERVIEW), height, width)
    region = subject.region
    pixels = as_rgb(to_8_bits(_shrunk(subject.case.restored, step)))
    sides = (region.top // step, region.left // step, -(-region.height // step), -(-region.width // step))
    draw_frame(pixels, *sides, FRAME, 2)
    text = (
        f"The whole picture is {width} by {height} pixels. This page looks at {region.width} by {region.height} of "
        f"them, from ({region.left}, {region.top}) on, restored once more by themselves: near the edge of this window "
        "they may differ a little from the picture that was written."
    )
    return f'<div class="overview">{gallery.show("overview", pixels, 1)}<p class="note">{text}</p></div>\n'


def step_by_step(subject: Subject, gallery: Gallery) -> str:
    """The estimate after each step under a tab of its own, and how far it has come as a curve."""
    row, col = subject.trajectory.corner(subject.patch)
    scale = _scale(subject)
    labels, panes = [], []
    previous: Image | None = None
    for step, estimate in enumerate(subject.estimates, 1):
        moved = None if previous is None else 255 * _rms(estimate - previous)
        facts = [_decibels(subject, estimate), "" if moved is None else f"moved by {moved:.2g}"]
        caption = _caption(f"After step {step}", " · ".join(filter(None, facts)))
        panes.append(gallery.figure(f"step-{step:02}", to_8_bits(estimate), caption, scale))
        detail = to_8_bits(_around(estimate, row, col, subject.trajectory.patch_size))
        labels.append(f"{shown(detail, f'step {step}, detail', 72 / THUMBNAIL)}<span>{step}</span>")
        previous = estimate
    label = (
        "A step compares each patch with the sum of its atoms, adds what explains the difference, and drops the atoms "
        f"too weak to stand out from the {subject.wording.harm}. It was trained for the last estimate alone: on the "
        "way there one may be worse than that before. Pick a step; the small pictures are what lies around the framed "
        "patch."
    )
    refresh = subject.trajectory.refresh
    if refresh:
        after = ", ".join(str(step) for step in refresh[:-1])
        after = f"{after} and {refresh[-1]}" if after else str(refresh[-1])
        label += f" After step {after} the picture so far is drawn together, and patches are compared in it anew."
    viewer = tabs(STEP_TABS, labels, panes, chosen=len(panes) - 1)
    return _section(
        "Step by step", label, f'<div class="steps">{viewer}<div class="curve">{_curve(subject)}</div></div>\n'
    )


def _curve(subject: Subject) -> str:
    refresh = subject.trajectory.refresh
    mark = "patches compared anew"
    scores = [subject.score(estimate) for estimate in subject.estimates]
    known = [score for score in scores if score is not None]
    if known:
        return curve(known, "PSNR after each step, dB", "dB", refresh, mark)
    before = (np.clip(subject.observed, 0, 1), *subject.estimates[:-1])
    moves = [255 * _rms(now - last) for last, now in zip(before, subject.estimates, strict=True)]
    return curve(moves, "How far each step moves, of 255", "of 255", refresh, mark)


def effort(subject: Subject, gallery: Gallery) -> str:
    """How many atoms each patch is made of."""
    counts = atom_counts(subject.trajectory)
    top = float(round_up(max(1.0, float(np.percentile(counts, 99.5)))))
    height, width = subject.estimates[-1].shape[:2]
    size, stride = subject.trajectory.patch_size, subject.trajectory.grid.stride
    pixels, alpha = at_centres(coloured(counts, top, VIRIDIS), height, width, size, stride)
    caption = _caption("Atoms in each patch", f"mean {counts.mean():.1f}")
    figure = gallery.figure("atom-counts", pixels, caption + colour_bar(top, "atoms", VIRIDIS), _scale(subject), alpha)
    numbers = subject.trajectory.atoms.shape[1]
    none = f", and {(counts == 0).mean():.0%} none at all: their mean says everything" if (counts == 0).any() else ""
    label = (
        f"Each point is a patch, drawn at its centre. It could be written with {numbers} numbers or with any of "
        f"{len(subject.trajectory.atoms)} atoms; half of the patches take {np.median(counts):.0f} or fewer, the "
        f"richest {counts.max()}{none}. Smooth places are cheap, detail is dear."
    )
    return f'<div class="piece">\n<h2>What it takes</h2>\n<p class="label">{label}</p>\n{figure}</div>\n'


def confidence(subject: Subject, gallery: Gallery) -> str:
    """How far the overlapping estimates of each pixel lie apart; beside it the error, where the truth is known."""
    size, stride = subject.trajectory.patch_size, subject.trajectory.grid.stride
    spread = without_grid(patch_spread(subject.trajectory), stride)
    top = round_up(255 * float(np.percentile(spread, 99.5)))
    caption = _caption("Where patches disagree", f"median {255 * np.median(spread):.2g}")
    bar = colour_bar(top, "of 255", MAGMA)
    pixels = coloured(255 * spread, top, MAGMA)
    figures = [gallery.figure("confidence", pixels, caption + bar, _scale(subject))]
    together = f" over squares of {stride} by {stride} pixels" if stride > 1 else ""
    label = (
        f"Up to {math.ceil(size / stride) ** 2} patches hold the same pixel, and each has its own estimate of it; the "
        f"result is their mean. This is their standard deviation{together}. Where it is dark they agree; where it is "
        "bright the mean is a compromise. An error that all of them make alike it cannot show."
    )
    if subject.clean is not None:
        difference = subject.estimates[-1] - subject.region.cut(subject.clean)
        error = np.abs(difference) if difference.ndim == 2 else np.sqrt(np.square(difference).mean(2))
        least, most = (255 * value for value in errors_where_unsure(spread, error))
        caption = _caption("The true error", f"root mean square {255 * _rms(difference):.2g}") + bar
        figures.append(gallery.figure("error", coloured(255 * error, top, MAGMA), caption, _scale(subject)))
        label += (
            " Beside it, in the same colours, what the network cannot see: the true error. In the fifth of the pixels "
            f"where patches agree best it is {least:.2g}, in the fifth where they agree least {most:.2g}."
        )
    return (
        f'<div class="piece{" wide" * (len(figures) > 1)}">\n<h2>Where it is sure</h2>\n'
        f'<p class="label">{label}</p>\n{_panels(figures) if len(figures) > 1 else figures[0]}</div>\n'
    )


def _section(title: str, label: str, content: str) -> str:
    return f'<section>\n<h2>{escape(title)}</h2>\n<p class="label">{label}</p>\n{content}</section>\n'


def _panels(figures: list[str]) -> str:
    return f'<div class="row">\n{"".join(figures)}</div>\n'


def _caption(name: str, fact: str) -> str:
    return f"<b>{escape(name)}</b><span>{escape(fact)}</span>"


def _decibels(subject: Subject, estimate: Image) -> str:
    score = subject.score(estimate)
    return "" if score is None else "∞ dB" if math.isinf(score) else f"{score:.2f} dB"


def _marked(subject: Subject, image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = as_rgb(to_8_bits(image))
    row, col = subject.trajectory.corner(subject.patch)
    size = subject.trajectory.patch_size
    draw_frame(pixels, row - 1, col - 1, size + 2, size + 2, FRAME, 1)
    return pixels


def _around(image: Image, row: int, col: int, size: int) -> Image:
    """The part of an image around a patch, `THUMBNAIL` pixels across or all there is."""
    spans = []
    for start, length in zip((row, col), image.shape[:2], strict=True):
        first = min(max(start + size // 2 - THUMBNAIL // 2, 0), max(length - THUMBNAIL, 0))
        spans.append(slice(first, first + THUMBNAIL))
    return image[spans[0], spans[1]]


def _shrunk(image: Image, step: int) -> Image:
    """Means of blocks of `step` x `step` pixels; what is left over at the end is not shown."""
    rows, cols = image.shape[0] // step, image.shape[1] // step
    blocks = image[: rows * step, : cols * step].reshape(rows, step, cols, step, *image.shape[2:])
    means: Image = blocks.mean((1, 3))
    return means


def _scale(subject: Subject) -> float:
    return max(1, round(WIDE / max(subject.region.height, subject.region.width)))


def _rms(values: Image) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


MOST_TERMS = 8
TILE = 84
"""Pixels of the page that a patch takes, about."""
NEIGHBOURHOOD = 600
"""Likewise, the neighbourhood of a patch."""


class Contrast:
    """One stretch of contrast for all pictures of a patch, so that they can be compared: `low` black, `high` white."""

    def __init__(self, *images: Image) -> None:
        self.low = min(float(image.min()) for image in images)
        self.high = max(max(float(image.max()) for image in images), self.low + 8 / 255)

    def __call__(self, image: Image) -> Pixels8:
        """An image for display, 8 bits."""
        return to_8_bits((image - self.low) / (self.high - self.low))


def sum_of_atoms(subject: Subject, gallery: Gallery) -> str:
    """The patch as its mean and its atoms, one added to the other; and which of all atoms they are."""
    order = order_of_atoms(subject.network)
    terms = terms_of(subject.trajectory, subject.patch, order)
    size = subject.trajectory.patch_size
    place = _region_of(subject, subject.patch)
    observed = place.cut(subject.observed)
    estimate = as_patch(subject.trajectory.patches[subject.patch], size)
    contrast = Contrast(observed, estimate)
    scale = max(1, round(TILE / size))
    row, col = subject.region.top + place.top, subject.region.left + place.left
    strip = [contrast(observed), contrast(estimate)]
    ends = [_tile(contrast(observed), scale, subject.wording.before)]
    ends.append(_tile(contrast(estimate), scale, "restored"))
    if subject.clean is not None:
        clean = place.cut(subject.region.cut(subject.clean))
        ends.append(_tile(contrast(clean), scale, "the truth"))
    mean = float(subject.trajectory.means[subject.patch, 0])
    sum_so_far: Image = np.full_like(estimate, mean)
    flat = contrast(sum_so_far)
    strip.append(flat)
    top = [_tile(flat, scale, f"mean<br>{255 * mean:.0f}")]
    bottom = [_tile(flat, scale, "")]
    parts = _parts(terms)
    loudest = max((float(np.abs(contribution).max()) for _, contribution in parts), default=1.0)
    for caption, contribution in parts:
        sum_so_far = sum_so_far + contribution
        drawn = np.rint(127.5 + 127.5 / loudest * contribution).astype(np.uint8)
        strip.append(drawn)
        top.append(_tile(drawn, scale, caption))
        bottom.append(_tile(contrast(sum_so_far), scale, ""))
    gallery.keep("patch", enlarged(sheet(strip, len(strip), 1), scale))
    label = (
        f"{size} by {size} pixels at ({col}, {row}), their contrast stretched. Its estimate is a sum: the mean, and "
        f"{len(terms)} of {len(order)} atoms, each times a coefficient. Above, what each brings, mid grey being "
        "nought: its coefficient, for an atom of norm 1 on the scale 0 to 255, and its number. Below, the sum so far. "
        "Nothing else goes into the estimate."
    )
    return (
        f'<section>\n<h2>One patch, taken apart</h2>\n<p class="label">{label}</p>\n'
        f'<div class="ends">{"".join(ends)}</div>\n'
        f'<div class="card sum"><table>\n<tr>{_row(top, "+")}</tr>\n<tr>{_row(bottom, "→")}</tr>\n</table></div>\n'
        f"{_all_atoms(subject, gallery, order, terms)}</section>\n"
    )


def _parts(terms: list[Term]) -> list[tuple[str, Image]]:
    """The captions and contributions of the most important terms, and those of the others together."""
    kept = terms if len(terms) <= MOST_TERMS else terms[: MOST_TERMS - 1]
    chosen = [(f"{_signed(255 * term.amount)}<br>no. {term.number + 1}", term.contribution) for term in kept]
    if others := terms[len(kept) :]:
        rest: Image = np.sum([term.contribution for term in others], 0)
        chosen.append((f"{len(others)} more<br>together", rest))
    return chosen


def _all_atoms(subject: Subject, gallery: Gallery, order: list[int], terms: list[Term]) -> str:
    """All atoms of W; those of the patch framed and bright, the others dimmed."""
    size = subject.trajectory.patch_size
    pixels = as_rgb(draw_atoms(subject.trajectory.atoms[order], size))
    columns = columns_for(len(order))
    times = times_enlarged(columns, size)
    step = (size + 1) * times
    used = np.zeros(pixels.shape[:2], bool)
    for term in terms:
        row, col = divmod(term.number, columns)
        used[row * step : row * step + step + times, col * step : col * step + step + times] = True
    pixels[~used] = np.rint(PAPER + 0.45 * (pixels[~used].astype(np.float64) - PAPER)).astype(np.uint8)
    for term in terms:
        row, col = divmod(term.number, columns)
        draw_frame(pixels, row * step, col * step, step + times, step + times, FRAME, max(2, times // 2))
    coloured_too = " and grey before colourful" if subject.network.channels > 1 else ""
    label = (
        f"All {len(order)} atoms, learned from photographs, each as light and dark as can be: from coarse to fine"
        f"{coloured_too}, in each row by direction, numbered row by row from 1 on. Framed are those of this patch. "
        "Every patch of every picture is made of these."
    )
    return f'<div class="beside">{gallery.figure("atoms", pixels, "", 0.7)}<p class="label">{label}</p></div>\n'


def patches_alike(subject: Subject, gallery: Gallery) -> str:
    """The similar patches: where they lie, how they look, and what they count."""
    neighbours = neighbours_of(subject.trajectory, subject.patch)
    own = own_share(subject.trajectory, subject.patch)
    view = _neighbourhood(subject, neighbours)
    times = max(2, NEIGHBOURHOOD // max(view.height, view.width))
    pixels = enlarged(as_rgb(to_8_bits(view.cut(subject.estimates[-1]))), times)
    most = max((peer.share for peer in neighbours), default=1.0)
    for peer in reversed(neighbours):
        colour = coloured(np.asarray(peer.share), most, VIRIDIS)
        _frame_patch(pixels, subject, view, peer.index, times, colour.tolist())
    _frame_patch(pixels, subject, view, subject.patch, times, FRAME)
    caption = f"<span>{view.width} by {view.height} pixels of the result, enlarged.</span>"
    figure = gallery.figure("similar-places", pixels, caption, 0.9)
    if not neighbours:
        label = (
            "This network looks at no other patches: each is restored by itself, from nothing but its own pixels and "
            "the same picture at half the size. Non-local models (GroupSC, CSR) compare patches and share what "
            "they find."
        )
        return _alike("", f'<div class="beside">{figure}<p class="label">{label}</p></div>\n')
    share = (
        "An atom survives where they have it too."
        if subject.network.settings.prior == "group"
        else "Its coefficients are drawn to the mean of theirs."
    )
    label = (
        f"What occurs more than once is easier to tell from {subject.wording.harm}. This patch, in orange, is coded "
        f"in view of the {len(neighbours)} others nearby that look most like it, the lighter their frame the more. {share} "
        f"Of all that counts it counts {own:.1%} itself."
    )
    pairs = [_pair(subject, index) for index in (subject.patch, *(peer.index for peer in neighbours))]
    captions = [f"<b>{own:.1%}</b>", *(f"{peer.share:.1%}" for peer in neighbours)]
    times = max(1, round(TILE / 2 / subject.trajectory.patch_size))
    tiles = [_tile(pair, times, caption) for pair, caption in zip(pairs, captions, strict=True)]
    gallery.keep("similar", enlarged(sheet(pairs, len(pairs), 1), times))
    note = '<p class="note">From the most similar on: above as they came in, below restored, and what each counts.</p>'
    return _alike(
        label, f'<div class="beside">{figure}<div>{note}<div class="pairs">{"".join(tiles)}</div></div></div>\n'
    )


def _alike(label: str, content: str) -> str:
    text = f'<p class="label">{label}</p>\n' if label else ""
    return f"<section>\n<h2>Patches like it</h2>\n{text}{content}</section>\n"


def _pair(subject: Subject, patch: int) -> Pixels8:
    """A patch of the window, observed over restored, with the contrast of the one that is taken apart."""
    observed, restored = subject.observed, subject.estimates[-1]
    chosen, place = _region_of(subject, subject.patch), _region_of(subject, patch)
    contrast = Contrast(chosen.cut(observed), chosen.cut(restored))
    return np.vstack([contrast(place.cut(observed)), contrast(place.cut(restored))])


def _region_of(subject: Subject, patch: int) -> Region:
    """Where a patch lies in the window."""
    size = subject.trajectory.patch_size
    return Region(*subject.trajectory.corner(patch), size, size)


def _neighbourhood(subject: Subject, neighbours: list[Neighbour]) -> Region:
    """A part of the window around a patch that holds its neighbours as well."""
    size = subject.trajectory.patch_size
    corners = [subject.trajectory.corner(index) for index in (subject.patch, *(peer.index for peer in neighbours))]
    spans = []
    for starts, length in zip(zip(*corners, strict=True), subject.estimates[-1].shape[:2], strict=True):
        first, last = max(min(starts) - size, 0), min(max(starts) + 2 * size, length)
        short = max(0, min(8 * size, length) - (last - first))
        first = max(0, min(first - short // 2, length - (last - first) - short))
        spans.append((first, min(max(last - first, 8 * size, last - first + short), length - first)))
    (top, height), (left, width) = spans
    return Region(top, left, height, width)


def _frame_patch(
    pixels: Pixels8, subject: Subject, view: Region, patch: int, times: int, colour: tuple[int, ...] | list[int]
) -> None:
    row, col = subject.trajectory.corner(patch)
    side = subject.trajectory.patch_size * times
    draw_frame(pixels, (row - view.top) * times, (col - view.left) * times, side, side, colour, 2)


def _tile(pixels: Pixels8, times: int, caption: str) -> str:
    """A patch; its caption is HTML."""
    return (
        f'<figure class="tile">{shown(enlarged(pixels, times), "patch", 1)}<figcaption>{caption}</figcaption></figure>'
    )


def _row(tiles: list[str], sign: str) -> str:
    """Cells of a table with a sign between them."""
    return f"<td class='sign'>{sign}</td>".join(f"<td>{tile}</td>" for tile in tiles)


def _signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−")


PAGE = "index.html"


def render_explanation(subject: Subject) -> dict[str, bytes]:
    """The files of an explanation, by name: its pictures, and after them the page."""
    style = resources.files("restorekit.explain").joinpath("explain.css").read_text("utf-8")
    title = f"How {subject.name} was {subject.task.participle}"
    gallery = Gallery()
    maps = "maps three" if subject.clean is not None else "maps"
    body = (
        render_header(title, _facts(subject)),
        before_and_after(subject, gallery),
        step_by_step(subject, gallery),
        f'<section class="{maps}">\n{effort(subject, gallery)}{confidence(subject, gallery)}</section>\n',
        sum_of_atoms(subject, gallery),
        patches_alike(subject, gallery),
        _footer(),
    )
    page = render_page(title, style + tab_style(STEP_TABS, len(subject.estimates)), body)
    return {**gallery.files, PAGE: page.encode()}


def _facts(subject: Subject) -> str:
    case = subject.case
    height, width = case.observed.shape[:2]
    facts = [case.model.card.name, *map(_shown, subject.parameters), f"{width}×{height} pixels"]
    if subject.clean is not None:
        before, after = psnr(case.observed, subject.clean), psnr(case.restored, subject.clean)
        facts.append(f"{_shown_decibels(before)} before, {_shown_decibels(after)} after")
    return " · ".join(facts)


def _shown(parameter: tuple[str, float | str]) -> str:
    name, value = parameter
    return f"{name.replace('_', ' ')} {value if isinstance(value, str) else f'{value:.3g}'}"


def _shown_decibels(value: float) -> str:
    return "∞ dB" if math.isinf(value) else f"{value:.2f} dB"


def _footer() -> str:
    return (
        '<footer>\n<p class="note">The pictures of this page lie beside it as PNG files. '
        f"Made by {escape(f'restorekit {__version__}')}.</p>\n</footer>\n"
    )


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError if there is something at the path that is no empty folder: to be asked before work starts."""
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
    """Raise OutputError if a picture lies in the folder, where a file of the page might take its place."""
    place = os.path.realpath(folder)
    for picture in pictures:
        if place in (os.path.realpath(picture.parent), str(Path(os.path.realpath(picture)).parent)):
            raise OutputError(f"{show_path(folder)}: holds {show_path(picture)}; name a folder of the page's own")


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write the files, in their order, each whole or not at all. Raises OutputError, if it can before the first."""
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
    """An operation for `run_batch` on one picture, which leaves a page on how another one went in a folder.

    name: the picture's, for people. folder: new, empty, or to be written over where `overwrite` is true. at: the pixel
    to look at, x and y, or None for the most detailed place. reference: the clean picture, where there is one.
    """

    operation: Operation
    name: str
    folder: Path
    overwrite: bool
    at: tuple[int, int] | None = None
    reference: Picture | None = None

    def __call__(self, picture: Picture) -> Restored:
        """The picture restored; the folder is written once that has succeeded.

        Raises:
            UsageError: see `make_subject`. OutputError: see `write_folder`.
        """
        restored = self.operation(picture)
        assert isinstance(restored, Restored)
        case = restored.trace
        clean = None if self.reference is None else case.truth_of(self.reference)
        subject = make_subject(self.name, case, restored.parameters, clean, self.at)
        write_folder(self.folder, render_explanation(subject), overwrite=self.overwrite)
        return replace(restored, notes=(*restored.notes, f"explained in {show_path(self.folder / PAGE)}"))
