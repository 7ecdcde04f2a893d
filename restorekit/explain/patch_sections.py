"""The part of a page that shows one patch: as a sum of atoms, and among the patches that are like it."""

from __future__ import annotations

import numpy as np

from restorekit.display.detail import Pixels8, to_8_bits
from restorekit.display.page import shown
from restorekit.explain.atoms import Term, as_patch, columns_for, draw_atoms, order_of_atoms, terms_of, times_enlarged
from restorekit.explain.drawing import PAPER, VIRIDIS, as_rgb, coloured, draw_frame, enlarged, sheet
from restorekit.explain.gallery import Gallery
from restorekit.explain.image_sections import FRAME
from restorekit.explain.similar import Peer, own_share, peers_of
from restorekit.explain.subject import Subject
from restorekit.explain.trajectory import Region
from restorekit.restore.case import Image

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
    peers = peers_of(subject.trajectory, subject.patch)
    own = own_share(subject.trajectory, subject.patch)
    view = _neighbourhood(subject, peers)
    times = max(2, NEIGHBOURHOOD // max(view.height, view.width))
    pixels = enlarged(as_rgb(to_8_bits(view.cut(subject.estimates[-1]))), times)
    most = max((peer.share for peer in peers), default=1.0)
    for peer in reversed(peers):
        colour = coloured(np.asarray(peer.share), most, VIRIDIS)
        _frame_patch(pixels, subject, view, peer.index, times, colour.tolist())
    _frame_patch(pixels, subject, view, subject.patch, times, FRAME)
    caption = f"<span>{view.width} by {view.height} pixels of the result, enlarged.</span>"
    figure = gallery.figure("similar-places", pixels, caption, 0.9)
    if not peers:
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
        f"in view of the {len(peers)} others nearby that look most like it, the lighter their frame the more. {share} "
        f"Of all that counts it counts {own:.1%} itself."
    )
    pairs = [_pair(subject, index) for index in (subject.patch, *(peer.index for peer in peers))]
    captions = [f"<b>{own:.1%}</b>", *(f"{peer.share:.1%}" for peer in peers)]
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


def _neighbourhood(subject: Subject, peers: list[Peer]) -> Region:
    """A part of the window around a patch that holds its peers as well."""
    size = subject.trajectory.patch_size
    corners = [subject.trajectory.corner(index) for index in (subject.patch, *(peer.index for peer in peers))]
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
