import base64
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from restorekit.errors import OutputError
from restorekit.evaluate import Evaluation, evaluate_methods, write_report
from restorekit.evaluate.results import Crop, MethodResult, Panel, Score, Skipped, render_report
from restorekit.image import read_picture
from restorekit.tasks.base import Condition
from tests.evaluate.benchmarks import noise
from tests.html_page import Page, check_self_contained

LOW, HIGH = Condition(10.0, "sigma 10"), Condition(20.0, "sigma <20>")


def make_result(method: str, condition: Condition, psnrs: list[float]) -> MethodResult:
    scores = (Score(f"<i>{n}</i>&.png", value, 0.9, 0.5, 0.25) for n, value in enumerate(psnrs))
    return MethodResult(method, condition, tuple(scores))


@pytest.fixture
def evaluation() -> Evaluation:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    panels = tuple(
        Panel(method, condition, pixels + 1, 30, 28)
        for condition in (LOW, HIGH)
        for method in ("noisy", "tv", "x<script>")
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


def rows_of(source: str) -> list[list[tuple[str, set[str]]]]:
    """The cells of the first table's body, row by row: what is in them, and their classes."""
    body = source.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r'<t[hd](?: scope="row")?(?: class="([^"]*)")?>(.*?)</t[hd]>', row, re.DOTALL) for row in rows]
    return [[(text, set(classes.split())) for classes, text in row] for row in cells]


def test_the_page_is_well_formed_and_asks_for_nothing_else(evaluation):
    page = check_self_contained(render_report(evaluation))
    assert len(page.all("img")) == 8


def test_names_from_outside_are_escaped(evaluation):
    text = render_report(evaluation)
    for raw in ("<more>", "<script>", "<b>.png", "<usual>", "<i>", "<20>", "<are>"):
        assert raw not in text
    assert "x&lt;script&gt;" in text
    assert "bad&lt;b&gt;.png: empty &amp; void" in text


def test_a_hostile_file_name_stays_text(evaluation):
    hostile = "<script>alert(\"x\")</script> & ' onload='x.png"
    results = tuple(
        replace(
            result,
            method=result.method.replace("tv", hostile),
            scores=tuple(replace(score, image=hostile) for score in result.scores),
        )
        for result in evaluation.results
    )
    crops = (replace(evaluation.crops[0], image=hostile),)
    skipped = (Skipped(hostile, hostile),)
    text = render_report(replace(evaluation, dataset=hostile, results=results, crops=crops, skipped=skipped))
    assert "<script" not in text
    page = check_self_contained(text)
    assert f"Denoise: {hostile}" in page.text
    assert f"{hostile}: {hostile}" in page.text
    assert hostile in {cell.get("title") for cell in page.all("th")}


def test_the_best_of_each_column_is_marked_and_ties_alike(evaluation):
    tv, other = rows_of(render_report(evaluation))
    assert [text for text, _ in tv] == ["tv", "30.50", "0.9000", "25.50", "0.9000", "2.00", "0.500"]
    assert [text for text, classes in tv if "best" in classes] == ["0.9000", "25.50", "0.9000"]
    assert [text for text, classes in other if "best" in classes] == ["32.50", "0.9000", "25.50", "0.9000"]
    assert [text for text, classes in tv if "start" in classes] == ["30.50", "25.50", "2.00"]


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
    infinite, undefined = rows_of(text)
    assert infinite[1] == ("∞", {"start", "best"})
    assert undefined[1] == ("nan", {"start"})
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
    benchmark = noise(25.5, 51)
    methods = {"tv": benchmark.baseline("tv"), "a & b": lambda noisy, sigma: noisy}
    text = render_report(evaluate_methods(folder, benchmark, methods))
    Page(text)
    assert text.count("<figure>") == 3 * 2 * 4
    assert "sub/c &lt;&amp;&gt;.png" in text
