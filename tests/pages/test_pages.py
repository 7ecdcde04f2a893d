import pytest

from restorekit.pages.figures import environment, round_up, ticks_for
from tests.html_page import Page


@pytest.mark.parametrize(
    ("value", "rounded"), [(0, 1), (1, 1), (1.1, 2), (4.9, 5), (5.1, 10), (0.021, 0.03), (0.3, 0.3)]
)
def test_limits_are_round(value, rounded):
    assert round_up(value) == pytest.approx(rounded)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([20.1, 25.5, 26], [20, 22, 24, 26]),
        ([18, float("inf"), 29], [18, 21, 24, 27, 30]),
        ([float("inf")], [0, 0.3, 0.6, 0.9, 1.2]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(values, ticks):
    assert ticks_for(values) == pytest.approx(ticks)


@pytest.mark.parametrize("values", [[20.1, 25.5, 26], [3.0, 3.0], [0.0, 0.0], [float("inf"), 30.0], [float("inf")]])
def test_a_line_chart_stays_in_its_frame(values):
    macros = environment().get_template("macros.html.jinja").module
    source = macros.line_chart("PSNR <of> it", "dB", values, (1,), "renewed")
    assert "&lt;of&gt;" in source
    assert "nan" not in source
    page = Page(source)
    points = [tuple(map(float, point.split(","))) for point in page.all("polyline")[0]["points"].split()]
    assert len(points) == len(page.all("circle")) == len(values)
    assert all(0 <= x <= 480 and 0 <= y <= 300 for x, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert len([line for line in page.all("line") if line["class"] == "mark"]) == 1
