"""Web pages from the templates in this folder, each one file without scripts or fonts; and the pictures on them."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from restorekit.errors import MissingExtraError
from restorekit.image import Metadata, Picture, encode_picture

Pixels8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, in pixels. detail: the mean gradient magnitude in it, where that was measured."""

    top: int
    left: int
    height: int
    width: int
    detail: float = 0.0

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return that part of an image [H, W] or [H, W, C], a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def most_detailed_window(image: NDArray[np.float32], size: int) -> Region:
    """Return the window of `size` pixels, or less on smaller images, with the largest mean gradient magnitude."""
    grey = image if image.ndim == 2 else image.mean(2)
    height, width = (min(size, side) for side in grey.shape)
    gradient = np.zeros(grey.shape)
    gradient[:-1] += np.square(np.diff(grey, axis=0))
    gradient[:, :-1] += np.square(np.diff(grey, axis=1))
    # A summed-area table: four look-ups give the sum over any window.
    table = np.zeros((grey.shape[0] + 1, grey.shape[1] + 1))
    table[1:, 1:] = np.sqrt(gradient).cumsum(0).cumsum(1)
    sums = table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return Region(int(top), int(left), height, width, float(sums[top, left]) / (height * width))


def to_8_bits(image: NDArray[np.float32]) -> Pixels8:
    """Clamp to [0, 1], scale to 0..255 and round: for display only."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True)
class Figure:
    """A PNG file that takes `width` x `height` pixels of a page. name: its text for those who cannot see it."""

    name: str
    png: bytes
    width: int
    height: int

    @property
    def source(self) -> str:
        """The file as a URL."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def draw_figure(pixels: Pixels8, name: str, scale: float = 1, alpha: Pixels8 | None = None) -> Figure:
    """Return an image [H, W] or [H, W, 3] as a figure that is `scale` times as large as its pixels."""
    height, width = pixels.shape[:2]
    png = encode_picture(Picture(pixels, Metadata("png"), alpha), "png")
    return Figure(name, png, round(scale * width), round(scale * height))


def round_up(value: float) -> float:
    """Return the least of 1, 2, 3, 5 times a power of ten that is not below `value`; 1 for zero."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 3, 5, 10) if step * power >= value * (1 - 1e-9))


def ticks_for(values: Sequence[float]) -> list[float]:
    """Return some four evenly spaced round numbers, the first below all finite values and the last above them."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    least, most = min(finite), max(finite)
    step = round_up(max(most - least, 1e-3 * max(abs(most), 1e-3)) / 4)
    first, last = math.floor(least / step), math.ceil(most / step)
    return [step * first + step * index for index in range(max(last - first, 1) + 1)]


def check_plots() -> None:
    """Raise MissingExtraError if plots cannot be drawn. Ask before work starts."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("a plot needs matplotlib: pip install 'restorekit[train]'") from error


def draw_convergence(residuals: Sequence[float], psnrs: Sequence[float], title: str) -> bytes:
    """Return a PNG file: ||x_k+1 - x_k|| / ||x_k|| by iteration and above it, where they are given, the PSNRs in dB.

    Raises MissingExtraError if matplotlib is not installed.
    """
    check_plots()
    import matplotlib.figure

    plot = matplotlib.figure.Figure(figsize=(7, 5 if psnrs else 3), layout="constrained")
    axes = list(plot.subplots(2 if psnrs else 1, 1, sharex=True, squeeze=False)[:, 0])
    axes[0].set_title(title)
    if psnrs:
        axes[0].plot(range(1, len(psnrs) + 1), psnrs, marker=".")
        axes[0].set_ylabel("PSNR, dB")
    axes[-1].semilogy(range(1, len(residuals) + 1), residuals, marker=".", color="tab:gray")
    axes[-1].set_ylabel("relative change")
    axes[-1].set_xlabel("iteration")
    for axis in axes:
        axis.grid(alpha=0.3)
    drawn = io.BytesIO()
    plot.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()


def render(template: str, page: object) -> str:
    """Return the HTML of a template that shows `page`, an object whose attributes it knows. All text is escaped."""
    return environment().get_template(template).render(page=page)


@cache
def environment() -> Environment:
    """Return the templates and the filters that they know."""
    loader = PackageLoader("restorekit.pages")
    templates = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.filters.update(decimals=_decimals, largest=_largest, figure=draw_figure, ticks=ticks_for)
    return templates


def _decimals(value: float, digits: int = 2) -> str:
    """Round to so many digits after the point. The PSNR of equal images is infinite."""
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def _largest(values: Iterable[float], digits: int = 2) -> str:
    """Return the largest value as it is shown, so that those which look equal are marked alike; NaN never wins."""
    return _decimals(max((value for value in values if not math.isnan(value)), default=math.inf), digits)
