"""A chart of PSNR against seconds, its points labelled where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

COLOURS = ("#0b66b3", "#c2410c", "#15803d", "#7e22ce")
OTHERS_COLOUR = "#444444"
OFFSETS = ((7, 0), (-7, 0), (0, 8), (0, -8), (6, 7), (-6, 7), (6, -7), (-6, -7), (0, 20), (0, -20), (20, 16), (20, -16))
"""Where a label may stand beside its point, in points of print, the best place first."""


@dataclass(frozen=True)
class Point:
    """One method: seconds per megapixel, and PSNR in dB. Those of one series, unless it is "", are joined by a line."""

    series: str
    label: str
    seconds: float
    psnr: float


def draw_chart(points: Sequence[Point], title: str, path: Path) -> None:
    """Write the chart in the format of the path's suffix: the same points give the same file."""
    mpl.rcParams["svg.hashsalt"] = "restorekit"
    figure = Figure(figsize=(8, 5), dpi=144, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="seconds per megapixel", ylabel="mean PSNR (dB)", xscale="log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.grid(color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.margins(x=0.05, y=0.12)
    series: defaultdict[str, list[Point]] = defaultdict(list)
    for point in sorted(points, key=lambda point: point.seconds):
        series[point.series].append(point)
    colours = {"": OTHERS_COLOUR} | dict(zip((name for name in series if name), COLOURS, strict=False))
    for name, members in series.items():
        seconds, psnrs = [point.seconds for point in members], [point.psnr for point in members]
        axes.plot(seconds, psnrs, "-o" if name else "o", color=colours[name], markersize=6)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right * (right / left) ** 0.2)  # Labels stand to the right where they can.
    figure.draw_without_rendering()  # What the layout leaves to the axes is known only now.
    taken = _marks(axes, series)
    for name, members in series.items():
        for point in members:
            _place_label(axes, point, colours[name], taken, heading=name if point is members[-1] else "")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _marks(axes: Axes, series: dict[str, list[Point]]) -> list[Bbox]:
    """Where markers and lines are, in pixels."""
    marks = []
    for name, members in series.items():
        pixels = axes.transData.transform([(point.seconds, point.psnr) for point in members])
        if name:
            lines = [np.linspace(start, end, 24) for start, end in pairwise(pixels)]
            marks += [Bbox.from_bounds(x - 1, y - 1, 2, 2) for x, y in np.concatenate([pixels, *lines])]
        marks += [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in pixels]
    return marks


def _place_label(axes: Axes, point: Point, colour: str, taken: list[Bbox], *, heading: str) -> None:
    """Write the label, under the heading if there is one, where it covers least of `taken`, and add its place there."""
    text = f"{heading}\n{point.label}" if heading else point.label
    choices = []
    for x, y in OFFSETS:
        label = axes.annotate(
            text,
            (point.seconds, point.psnr),
            (x, y),
            textcoords="offset points",
            ha="left" if x > 0 else "right" if x < 0 else "center",
            va="bottom" if y > 0 else "top" if y < 0 else "center",
            color=colour,
            fontsize=9,
        )
        extent = label.get_window_extent()
        outside = not all(axes.bbox.contains(*corner) for corner in extent.corners())
        choices.append((extent.count_overlaps(taken) + 100 * outside, label, extent))
    _, best, extent = min(choices, key=lambda choice: choice[0])
    for _, label, _ in choices:
        if label is not best:
            label.remove()
    taken.append(extent)
