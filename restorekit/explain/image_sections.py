"""The part of a page that shows the image: before and after, step by step, and as maps."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from restorekit.display.detail import to_8_bits
from restorekit.display.page import shown, tabs
from restorekit.explain.drawing import MAGMA, VIRIDIS, as_rgb, at_centres, coloured, draw_frame
from restorekit.explain.gallery import Gallery
from restorekit.explain.maps import atom_counts, errors_where_unsure, patch_spread, without_grid
from restorekit.explain.scales import colour_bar, curve, round_up
from restorekit.explain.subject import Subject
from restorekit.restore.case import Image

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
        f"{wording.about.format(error=255 * subject.case.level)} The network, all of {numbers:,} numbers, cuts what "
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
