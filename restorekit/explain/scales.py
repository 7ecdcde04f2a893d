"""Scales to read numbers off: round limits, bars of colour, and a curve over the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from restorekit.explain.drawing import Colours

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
