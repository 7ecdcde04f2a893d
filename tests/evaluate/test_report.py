import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from restorekit.errors import OutputError
from restorekit.evaluate import (
    Baseline,
    Crop,
    Evaluation,
    GaussianNoise,
    Level,
    MethodResult,
    Panel,
    Score,
    Skipped,
    baseline,
    evaluate_methods,
    write_report,
)
from restorekit.evaluate.report import render_report
from restorekit.image import read_picture

VOID = {"meta", "img", "input", "link", "br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps the attributes of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


LOW, HIGH = Level(10.0, "sigma 10"), Level(20.0, "sigma <20>")


def make_result(method: str, level: Level, psnrs: list[float]) -> MethodResult:
    scores = (Score(f"<i>{n}</i>&.png", value, 0.9, 0.5, 0.25) for n, value in enumerate(psnrs))
    return MethodResult(method, level, tuple(scores))


@pytest.fixture
def evaluation() -> Evaluation:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    panels = tuple(
        Panel(method, level, pixels + 1, 30, 28) for level in (LOW, HIGH) for method in ("noisy", "tv", "x<script>")
    )
    return Evaluation(
        task="denoise",
        axis="sigma",
        dataset='photos "&" <more>',
        protocol="as <usual>",
        seed=0,
        device="cpu",
        versions=(("restorekit", "1.0"),),
        untouched="noisy",
        notes=("both <are> fine",),
        results=(
            make_result("tv", LOW, [30.0, 31.0]),
            make_result("tv", HIGH, [25.001, 26.0]),
            make_result("x<script>", LOW, [32.0, 33.0]),
            make_result("x<script>", HIGH, [25.003, 26.0]),
        ),
        skipped=(Skipped("bad<b>.png", "empty & void"),),
        crops=(Crop("a<b>.png", 1, 2, pixels, panels),),
    )


def test_the_page_is_well_formed_and_asks_for_nothing_else(evaluation):
    text = render_report(evaluation)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "link" not in names
    assert {attrs["src"][:22] for tag, attrs in page.tags if tag == "img"} == {"data:image/png;base64,"}
    assert not re.search(r"url\(|@import|https?:", text)
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    assert {attrs["for"] for tag, attrs in page.tags if tag == "label"} <= set(identifiers)


def test_names_are_escaped(evaluation):
    text = render_report(evaluation)
    for raw in ("<more>", "<script>", "<b>.png", "<usual>", "<i>", "<20>", "<are>"):
        assert raw not in text
    assert "x&lt;script&gt;" in text
    assert "bad&lt;b&gt;.png: empty &amp; void" in text


def test_the_best_of_each_column_is_marked_and_ties_alike(evaluation):
    summary = render_report(evaluation).partition("<tbody>")[2].partition("</tbody>")[0]
    tv, other = summary.strip().splitlines()
    assert '<td class="start">30.50</td>' in tv
    assert '<td class="start best">32.50</td>' in other
    assert '<td class="start best">25.50</td>' in tv
    assert '<td class="start best">25.50</td>' in other
    assert '<td class="start">2.00</td><td>0.500</td>' in tv


def test_crops_hold_the_exact_pixels(evaluation):
    page = Page(render_report(evaluation))
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [image["alt"] for image in images] == 2 * ["clean", "noisy", "tv", "x<script>"]
    decoded = [read_picture(base64.b64decode(image["src"].partition(",")[2])).pixels for image in images[:2]]
    np.testing.assert_array_equal(decoded[0], evaluation.crops[0].clean)
    np.testing.assert_array_equal(decoded[1], evaluation.crops[0].panels[0].pixels)
    assert (images[0]["width"], images[0]["height"]) == ("8", "8")


def test_infinite_and_undefined_scores(evaluation):
    results = (make_result("a", LOW, [math.inf, math.inf]), make_result("b", LOW, [math.nan, 30.0]))
    text = render_report(replace(evaluation, results=results, crops=(), skipped=()))
    Page(text)
    assert '<td class="start best">∞</td>' in text
    assert "Left out" not in text
    assert "Side by side" not in text


def test_an_existing_file_is_kept_unless_asked(evaluation, tmp_path):
    path = tmp_path / "report.html"
    write_report(evaluation, path, overwrite=False)
    assert path.read_text("utf-8") == render_report(evaluation)
    with pytest.raises(OutputError, match="already exists"):
        write_report(evaluation, path, overwrite=False)
    write_report(evaluation, path, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        write_report(evaluation, tmp_path / "none" / "report.html", overwrite=False)


def test_an_evaluation_becomes_a_page(folder):
    methods = [baseline("tv"), Baseline("a & b", lambda noisy, sigma: noisy)]
    text = render_report(evaluate_methods(folder, GaussianNoise((0.1, 0.2)), methods))
    Page(text)
    assert text.count("<figure>") == 3 * 2 * 4
    assert "sub/c &lt;&amp;&gt;.png" in text
