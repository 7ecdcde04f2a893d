"""What every task has in common, shown on one whose observations have another shape than its clean images."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from restorekit.errors import DatasetError, UnsupportedImageError
from restorekit.evaluate import CropSettings, Level, evaluate_methods
from restorekit.evaluate.report import render_report
from restorekit.image import read_picture
from restorekit.numerics.metrics import psnr


@dataclass(frozen=True)
class OneChannel:
    """Of a colour image only one channel is observed; grey images are of no use."""

    levels: tuple[str, ...] = ("red", "blue")
    task: str = "demosaic"
    axis: str = "pattern"
    protocol: str = "One channel is kept."
    untouched: None = None

    def prepare(self, picture):
        if picture.is_grey:
            raise UnsupportedImageError("a grey picture has no channels to lose")
        return picture.to_float()

    def observe(self, clean, level, seed):
        return clean[..., ("red", "green", "blue").index(level)]

    def describe(self, level):
        return Level(level, f"<{level}>")


@dataclass
class Repeat:
    """Takes the channel that is known for all three, and keeps what it was told."""

    name: str = "repeat"
    told: list[str] = field(default_factory=list)

    def __call__(self, observed, level):
        assert observed.ndim == 2
        self.told.append(level)
        return np.stack([observed] * 3, -1)


def test_what_is_observed_may_have_another_shape(folder):
    method = Repeat()
    evaluation = evaluate_methods(folder, OneChannel(), [method], crops=CropSettings(count=2, size=16))
    assert evaluation.images == ("sub/c <&>.png",)
    assert method.told == ["red", "red", "blue"]  # the first is the warm-up
    clean = read_picture(folder / "sub/c <&>.png").to_float()
    for index, level in enumerate(evaluation.levels):
        score = evaluation.result("repeat", level).scores[0]
        assert score.psnr == psnr(np.stack([clean[..., 2 * index]] * 3, -1), clean)
    assert [(panel.method, panel.level.value) for panel in evaluation.crops[0].panels] == [
        ("repeat", "red"),
        ("repeat", "blue"),
    ]


def test_images_of_no_use_are_named(folder):
    evaluation = evaluate_methods(folder, OneChannel(), [Repeat()])
    assert [skipped.image for skipped in evaluation.skipped] == ["a.png", "b.png"]
    assert evaluation.skipped[0].reason == "a grey picture has no channels to lose"
    (folder / "sub" / "c <&>.png").unlink()
    with pytest.raises(DatasetError, match="none of the 2 images can be used; the first: a grey picture"):
        evaluate_methods(folder, OneChannel(), [Repeat()])


def test_json_and_page_have_the_words_of_the_task(folder):
    evaluation = evaluate_methods(folder, OneChannel(), [Repeat()], notes=["repeat: <simple>"])
    record = json.loads(evaluation.to_json())
    assert (record["task"], record["axis"], record["notes"]) == ("demosaic", "pattern", ["repeat: <simple>"])
    assert [result["pattern"] for result in record["results"]] == ["red", "blue"]
    page = render_report(evaluation)
    assert "Demosaic: pictures" in page
    assert "&lt;red&gt;" in page
    assert "<red>" not in page
    assert "repeat: &lt;simple&gt;" in page
    assert evaluation.megapixels_per_second("repeat") > 0
