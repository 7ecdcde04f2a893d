"""An evaluation as one web page that needs nothing else: tables, and crops to compare by eye."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from restorekit.evaluate.result import Crop, Evaluation, Level, Panel, Pixels8
from restorekit.image import Metadata, Picture, encode_picture, write_file

MOST_COLUMNS = 4
PSNR_DIGITS = 2
SSIM_DIGITS = 4


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
        _header(evaluation, title),
        _summary(evaluation),
        _crops(evaluation),
        _images(evaluation),
        _footer(evaluation),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}{_tab_style(len(evaluation.levels))}</style>\n</head>\n"
        f"<body>\n<main>\n{''.join(body)}</main>\n</body>\n</html>\n"
    )


def _header(evaluation: Evaluation, title: str) -> str:
    scored = len(evaluation.images)
    levels = ", ".join(level.label for level in evaluation.levels)
    facts = f"{scored} image{'s' * (scored != 1)} · {levels} · seed {evaluation.seed} · {evaluation.device}"
    return f'<header>\n<h1>{escape(title)}</h1>\n<p class="facts">{escape(facts)}</p>\n</header>\n'


def _summary(evaluation: Evaluation) -> str:
    levels, methods = evaluation.levels, evaluation.methods
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
            _cell(_psnr(result.psnr), _ties(result.psnr, best_psnr[result.level], PSNR_DIGITS), start=True)
            + _cell(_ssim(result.ssim), _ties(result.ssim, best_ssim[result.level], SSIM_DIGITS))
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
    return (
        "<section>\n<h2>Side by side</h2>\n"
        '<p class="note">The most detailed part of the most detailed images, each pixel shown as two by two where '
        "there is room. Below each: PSNR of the whole image, and of the crop.</p>\n"
        + _tabs(evaluation.levels, lambda level: "".join(_crop(crop, level) for crop in evaluation.crops))
        + "</section>\n"
    )


def _crop(crop: Crop, level: Level) -> str:
    panels = [panel for panel in crop.panels if panel.level == level]
    best = _best(panel.psnr for panel in panels)
    height, width = crop.clean.shape[:2]
    figures = _figure(crop.clean, "clean", "") + "".join(_panel_figure(panel, best) for panel in panels)
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
    return _figure(panel.pixels, panel.method, caption)


def _figure(pixels: Pixels8, name: str, caption: str) -> str:
    source = base64.b64encode(encode_picture(Picture(pixels, Metadata("png")), "png")).decode()
    height, width = pixels.shape[:2]
    return (
        f'<figure><img alt="{escape(name)}" width="{2 * width}" height="{2 * height}" '
        f'src="data:image/png;base64,{source}"><figcaption><b>{escape(name)}</b>{caption}</figcaption></figure>\n'
    )


def _images(evaluation: Evaluation) -> str:
    tables = "".join(_image_table(evaluation, level) for level in evaluation.levels)
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


def _tabs(levels: Sequence[Level], content: Callable[[Level], str]) -> str:
    """One tab for each level. Radio buttons do the switching, so that the page needs no script."""
    inputs = "".join(
        f'<input class="pick" type="radio" name="crops" id="crops{index}"{" checked" * (index == len(levels) // 2)}>\n'
        for index in range(len(levels))
    )
    labels = "".join(f'<label for="crops{index}">{escape(level.label)}</label>\n' for index, level in enumerate(levels))
    panes = "".join(f'<div class="level level{index}">\n{content(level)}</div>\n' for index, level in enumerate(levels))
    return f'{inputs}<div class="tabs">\n{labels}</div>\n{panes}'


def _tab_style(count: int) -> str:
    """Rules for each tab: show its content, mark its label, outline the label that has the keyboard's attention."""
    rules = []
    for index in range(count):
        pick, label = f"#crops{index}", f".tabs label:nth-child({index + 1})"
        rules += [
            f"{pick}:checked ~ .level{index} {{ display: block; }}\n",
            f"{pick}:checked ~ {label} {{ color: var(--accent); background: var(--wash); font-weight: 600; }}\n",
            f"{pick}:focus-visible ~ {label} {{ outline: 2px solid var(--accent); }}\n",
        ]
    return "".join(rules)


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
