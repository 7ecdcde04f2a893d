"""An evaluation as one web page that needs nothing else: tables, and crops to compare by eye."""

from __future__ import annotations

from pathlib import Path

from restorekit.evaluate.results import Evaluation
from restorekit.image import write_file
from restorekit.pages.render import render


def write_report(evaluation: Evaluation, path: Path, *, overwrite: bool) -> None:
    """Write a self-contained HTML page: means, per-image tables, and the crops side by side.

    Raises:
        OutputError: the file exists and `overwrite` is false, or it cannot be written.
    """
    write_file(path, render_report(evaluation).encode(), overwrite=overwrite)


def render_report(evaluation: Evaluation) -> str:
    """Return the page that `write_report` writes."""
    return render("report.html.jinja", evaluation)
