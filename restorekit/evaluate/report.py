"""An evaluation as one web page that needs nothing else: tables, and crops to compare by eye."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path

from restorekit.evaluate.results import Crop, Evaluation, Panel
from restorekit.image import write_file
from restorekit.pages.page import figure, render_header, render_page, tab_style, tabs
from restorekit.tasks.base import Condition as Level

MOST_COLUMNS = 4
PSNR_DIGITS = 2
SSIM_DIGITS = 4
_TABS = "crops"


def write_report(evaluation: Evaluation, path: Path, *, overwrite: bool) -> None:
    """Write a self-contained HTML page: means, per-image tables, and the crops side by side.

    Raises:
        OutputError: the file exists and `overwrite` is false, or it cannot be written.
    """
    write_file(path, render_report(evaluation).encode(), overwrite=overwrite)


def render_report(evaluation: Evaluation) -> str:
    """The page `write_report` writes."""
    style = resources.files("restorekit.evaluate").joinpath("report.css").read_text("utf-8")
    title = f"{evaluation.task.capitalize()}: {evaluation.dataset}"
    body = (
        render_header(title, _facts(evaluation)),
        _summary(evaluation),
        _crops(evaluation),
        _images(evaluation),
        _footer(evaluation),
    )
    return render_page(title, style + tab_style(_TABS, len(evaluation.conditions)), body)


def _facts(evaluation: Evaluation) -> str:
    scored = len(evaluation.images)
    levels = ", ".join(level.label for level in evaluation.conditions)
    return f"{scored} image{'s' * (scored != 1)} · {levels} · seed {evaluation.seed} · {evaluation.device}"


def _summary(evaluation: Evaluation) -> str:
    levels, methods = evaluation.conditions, evaluation.methods
    groups = "".join(
        f'<th class="group start" colspan="2" scope="colgroup">{escape(level.label)}</th>' for level in levels
    )
    columns = '<th class="start" scope="col">PSNR, dB</th><th scope="col">SSIM</th>' * len(levels)
    head = (
        f'<tr><th></th>{groups}<th class="group start" colspan="2" scope="colgroup">Speed</th></tr>\n'
        f'<tr><th scope="col">Method</th>{columns}'
        '<th class="start" scope="col">s/MP</th><th scope="col">MP/s</th></tr>'
    )
    best_psnr = {level: _best(evaluation.result(method, level).psnr for method in methods) for level in levels}
    best_ssim = {level: _best(evaluation.result(method, level).ssim for method in methods) for level in levels}
    rows = []
    for method in methods:
        results = [evaluation.result(method, level) for level in levels]
        cells = "".join(
            _cell(_psnr(result.psnr), _ties(result.psnr, best_psnr[result.condition], PSNR_DIGITS), start=True)
            + _cell(_ssim(result.ssim), _ties(result.ssim, best_ssim[result.condition], SSIM_DIGITS))
            for result in results
        )
        speed = _speed_cells(evaluation.megapixels_per_second(method))
        rows.append(f'<tr><th scope="row">{escape(method)}</th>{cells}{speed}</tr>\n')
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in evaluation.notes)
    return (
        f'<section>\n<h2>Means</h2>\n<div class="card"><table>\n<thead>\n{head}\n</thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody>\n</table></div>\n"
        '<p class="note">The best of each column is marked. Speed is over all images and levels.</p>\n'
        f"{notes}</section>\n"
    )


def _speed_cells(megapixels_per_second: float | None) -> str:
    if megapixels_per_second is None:
        return _cell("–", start=True) + _cell("–")
    return _cell(_speed(1 / megapixels_per_second), start=True) + _cell(_speed(megapixels_per_second))


def _crops(evaluation: Evaluation) -> str:
    if not evaluation.crops:
        return ""
    labels = [escape(level.label) for level in evaluation.conditions]
    panes = ["".join(_crop(crop, level) for crop in evaluation.crops) for level in evaluation.conditions]
    return (
        "<section>\n<h2>Side by side</h2>\n"
        '<p class="note">The most detailed part of the most detailed images, each pixel shown as two by two where '
        "there is room. Below each: PSNR of the whole image, and of the crop.</p>\n"
        + tabs(_TABS, labels, panes, chosen=len(panes) // 2)
        + "</section>\n"
    )


def _crop(crop: Crop, level: Level) -> str:
    panels = [panel for panel in crop.panels if panel.condition == level]
    best = _best(panel.psnr for panel in panels)
    height, width = crop.clean.shape[:2]
    figures = figure(crop.clean, "clean", "") + "".join(_panel_figure(panel, best) for panel in panels)
    where = f"{width}×{height} pixels at ({crop.left}, {crop.top})"
    # Rows of equal length rather than one figure left over.
    columns = math.ceil((len(panels) + 1) / math.ceil((len(panels) + 1) / MOST_COLUMNS))
    return (
        f"<h3>{escape(crop.image)} <span>· {where}</span></h3>\n"
        f'<div class="panels" style="--columns: {columns}">\n{figures}</div>\n'
    )


def _panel_figure(panel: Panel, best: float) -> str:
    mark = ' class="best"' if _ties(panel.psnr, best, PSNR_DIGITS) else ""
    caption = f"<span><b{mark}>{_psnr(panel.psnr)} dB</b><small>crop {_psnr(panel.crop_psnr)}</small></span>"
    return figure(panel.pixels, panel.method, caption)


def _images(evaluation: Evaluation) -> str:
    tables = "".join(_image_table(evaluation, level) for level in evaluation.conditions)
    return f"<section>\n<h2>Image by image</h2>\n{tables}</section>\n"


def _image_table(evaluation: Evaluation, level: Level) -> str:
    results = [evaluation.result(method, level) for method in evaluation.methods]
    groups = "".join(
        f'<th class="group start" colspan="2" scope="colgroup">{escape(method)}</th>' for method in evaluation.methods
    )
    columns = '<th class="start" scope="col">PSNR, dB</th><th scope="col">SSIM</th>' * len(results)
    rows = []
    for image, scores in zip(evaluation.images, zip(*(result.scores for result in results), strict=True), strict=True):
        best_psnr, best_ssim = _best(score.psnr for score in scores), _best(score.ssim for score in scores)
        cells = "".join(
            _cell(_psnr(score.psnr), _ties(score.psnr, best_psnr, PSNR_DIGITS), start=True)
            + _cell(_ssim(score.ssim), _ties(score.ssim, best_ssim, SSIM_DIGITS))
            for score in scores
        )
        rows.append(f'<tr><th scope="row" title="{escape(image)}">{escape(image)}</th>{cells}</tr>\n')
    means = "".join(_cell(_psnr(result.psnr), start=True) + _cell(_ssim(result.ssim)) for result in results)
    return (
        f'<details>\n<summary>{escape(level.label)}</summary>\n<div class="card"><table class="small">\n'
        f'<thead>\n<tr><th></th>{groups}</tr>\n<tr><th scope="col">Image</th>{columns}</tr>\n</thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody>\n"
        f'<tfoot><tr><th scope="row">Mean</th>{means}</tr></tfoot>\n</table></div>\n</details>\n'
    )


def _footer(evaluation: Evaluation) -> str:
    versions = " · ".join(f"{name} {version}" for name, version in evaluation.versions)
    skipped = "".join(f"<li>{escape(skipped.image)}: {escape(skipped.reason)}</li>\n" for skipped in evaluation.skipped)
    left_out = f'<h2>Left out</h2>\n<ul class="note">\n{skipped}</ul>\n' if skipped else ""
    return (
        f'<footer>\n{left_out}<p class="note">{escape(evaluation.protocol)}</p>\n'
        f'<p class="note">{escape(versions)}</p>\n</footer>\n'
    )


def _cell(text: str, marked: bool = False, *, start: bool = False) -> str:
    classes = " ".join(["start"] * start + ["best"] * marked)
    return f'<td class="{classes}">{text}</td>' if classes else f"<td>{text}</td>"


def _best(values: Iterable[float]) -> float:
    """The largest value; NaN, which nothing compares with, never wins."""
    return max((value for value in values if not math.isnan(value)), default=math.inf)


def _ties(value: float, best: float, digits: int) -> bool:
    """What looks equal is marked alike."""
    return round(value, digits) == round(best, digits)


def _psnr(value: float) -> str:
    return "∞" if value == math.inf else f"{value:.{PSNR_DIGITS}f}"


def _ssim(value: float) -> str:
    return f"{value:.{SSIM_DIGITS}f}"


def _speed(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
