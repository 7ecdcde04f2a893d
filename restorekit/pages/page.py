"""A web page that needs nothing else: no script, no fonts, pictures embedded."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources

from restorekit.image import Metadata, Picture, encode_picture
from restorekit.pages.figures import Pixels8


def render_page(title: str, style: str, body: Sequence[str]) -> str:
    """A page in the common style, with rules of its own after it. `body`: HTML."""
    common = resources.files("restorekit.pages").joinpath("style.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{common}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n"
    )


def render_header(title: str, facts: str) -> str:
    """The title, and under it the facts."""
    return f'<header>\n<h1>{escape(title)}</h1>\n<p class="facts">{escape(facts)}</p>\n</header>\n'


def png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    return encode_picture(picture, "png")


def image(data: bytes, name: str, width: int, height: int) -> str:
    """A PNG file as an element that takes so many pixels of the page."""
    source = base64.b64encode(data).decode()
    return f'<img alt="{escape(name)}" width="{width}" height="{height}" src="data:image/png;base64,{source}">'


def shown(pixels: Pixels8, name: str, scale: float) -> str:
    """An image [H, W] or [H, W, 3], shown `scale` times as large as its pixels."""
    height, width = pixels.shape[:2]
    return image(png(Picture(pixels, Metadata("png"))), name, round(scale * width), round(scale * height))


def figure(pixels: Pixels8, name: str, caption: str) -> str:
    """An image [H, W] or [H, W, 3], each pixel as two by two, under it its name and the caption, which is HTML."""
    return f"<figure>{shown(pixels, name, 2)}<figcaption><b>{escape(name)}</b>{caption}</figcaption></figure>\n"


def tabs(group: str, labels: Sequence[str], panes: Sequence[str], chosen: int) -> str:
    """One tab for each pane; both are HTML. Radio buttons do the switching, so that the page needs no script."""
    inputs = "".join(
        f'<input class="pick" type="radio" name="{group}" id="{group}{index}"{" checked" * (index == chosen)}>\n'
        for index in range(len(labels))
    )
    heads = "".join(f'<label for="{group}{index}">{label}</label>\n' for index, label in enumerate(labels))
    bodies = "".join(f'<div class="pane pane{index}">\n{pane}</div>\n' for index, pane in enumerate(panes))
    return f'{inputs}<div class="tabs">\n{heads}</div>\n{bodies}'


def tab_style(group: str, count: int) -> str:
    """Rules for each tab: show its content, mark its label, outline the label that has the keyboard's attention."""
    rules = []
    for index in range(count):
        pick, label = f"#{group}{index}", f".tabs label:nth-child({index + 1})"
        rules += [
            f"{pick}:checked ~ .pane{index} {{ display: block; }}\n",
            f"{pick}:checked ~ {label} {{ color: var(--accent); background: var(--wash); font-weight: 600; }}\n",
            f"{pick}:focus-visible ~ {label} {{ outline: 2px solid var(--accent); }}\n",
        ]
    return "".join(rules)
