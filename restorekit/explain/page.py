"""The explanation as one web page that needs nothing else, and its pictures as files."""

from __future__ import annotations

import math
from html import escape
from importlib import resources

from restorekit._version import __version__
from restorekit.display.page import render_header, render_page, tab_style
from restorekit.explain.gallery import Gallery
from restorekit.explain.image_sections import STEP_TABS, before_and_after, confidence, effort, step_by_step
from restorekit.explain.patch_sections import patches_alike, sum_of_atoms
from restorekit.explain.subject import Subject
from restorekit.metrics import psnr

PAGE = "index.html"


def render_explanation(subject: Subject) -> dict[str, bytes]:
    """The files of an explanation, by name: its pictures, and after them the page."""
    style = resources.files("restorekit.explain").joinpath("explain.css").read_text("utf-8")
    title = f"How {subject.name} was {subject.wording.participle}"
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
        facts.append(f"{_decibels(before)} before, {_decibels(after)} after")
    return " · ".join(facts)


def _shown(parameter: tuple[str, float | str]) -> str:
    name, value = parameter
    return f"{name.replace('_', ' ')} {value if isinstance(value, str) else f'{value:.3g}'}"


def _decibels(value: float) -> str:
    return "∞ dB" if math.isinf(value) else f"{value:.2f} dB"


def _footer() -> str:
    return (
        '<footer>\n<p class="note">The pictures of this page lie beside it as PNG files. '
        f"Made by {escape(f'restorekit {__version__}')}.</p>\n</footer>\n"
    )
