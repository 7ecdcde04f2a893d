"""Web pages from the templates in this folder. A page is one file: pictures embedded, no scripts, no fonts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from restorekit.pages.figures import draw_figure, ticks_for


def render(template: str, page: object) -> str:
    """Return the HTML of a template that shows `page`, an object whose attributes it knows. All text is escaped."""
    return environment().get_template(template).render(page=page)


@cache
def environment() -> Environment:
    """Return the templates and the filters that they know."""
    templates = Environment(
        loader=PackageLoader("restorekit.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters.update(decimals=_decimals, largest=_largest, figure=draw_figure, ticks=ticks_for)
    return templates


def _decimals(value: float, digits: int = 2) -> str:
    """Round to so many digits after the point. The PSNR of equal images is infinite."""
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def _largest(values: Iterable[float], digits: int = 2) -> str:
    """Return the largest value as it is shown, so that those which look equal are marked alike; NaN never wins."""
    return _decimals(max((value for value in values if not math.isnan(value)), default=math.inf), digits)
