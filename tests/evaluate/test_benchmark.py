"""What evaluations of all tasks have in common: scores, noise, skipped images, crops, JSON."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from restorekit.errors import DatasetError, UnsupportedImageError, UsageError
from restorekit.evaluate import CropSettings, evaluate_methods
from restorekit.evaluate.results import render_report
from restorekit.image import read_picture
from restorekit.numerics.metrics import psnr, ssim
from restorekit.pages.figures import most_detailed_window
from restorekit.tasks.base import Benchmark, Condition
from restorekit.tasks.demosaic import Demosaic
from tests.evaluate.benchmarks import noise
from tests.evaluate.conftest import save

SIGMAS = (15 / 255, 50 / 255)
SHOWN = (Condition(15.0, "sigma 15"), Condition(50.0, "sigma 50"))
NOISY = {"noisy": lambda noisy, sigma: noisy}


@dataclass
class Half:
    """A method that keeps what it was given, and gives back the half of it."""

    seen: list[tuple[np.ndarray, float]] = field(default_factory=list)

    def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
        self.seen.append((noisy.copy(), sigma))
        return noisy / 2

    def whole_images(self) -> list[tuple[np.ndarray, float]]:
        """Without the warm-up calls, one before the first grey and one before the first colour image."""
        kept, kinds = [], set()
        for noisy, sigma in self.seen:
            if noisy.ndim in kinds:
                kept.append((noisy, sigma))
            kinds.add(noisy.ndim)
        return kept


class OneChannel(Benchmark[str]):
    """Of a colour image only one channel is observed, so observations have another shape than clean images."""

    axis, protocol, task = "pattern", "One channel is kept.", Demosaic()

    def __init__(self):
        self.conditions = ("red", "blue")

    def clean(self, picture):
        if picture.is_grey:
            raise UnsupportedImageError("a grey picture has no channels to lose")
        return picture.to_float()

    def degrade(self, clean, condition, seed):
        return clean[..., ("red", "green", "blue").index(condition)]

    def describe(self, condition):
        return Condition(condition, f"<{condition}>")

    def restore(self, observed, condition, run):
        raise NotImplementedError


@dataclass
class Repeat:
    """A method that takes the channel that is known for all three, and keeps what it was told."""

    told: list[str] = field(default_factory=list)

    def __call__(self, observed, condition):
        assert observed.ndim == 2
        self.told.append(condition)
        return np.stack([observed] * 3, -1)


def test_scores_are_those_of_the_clamped_outputs(folder):
    half = Half()
    evaluation = evaluate_methods(folder, noise(15, 50), {**NOISY, "half": half})
    assert evaluation.images == ("a.png", "b.png", "sub/c <&>.png")
    assert evaluation.methods == ("noisy", "half")
    assert evaluation.conditions == SHOWN
    inputs = half.whole_images()
    assert [image.ndim for image, _ in inputs] == [2, 2, 2, 2, 3, 3]
    for index, image in enumerate(evaluation.images):
        clean = read_picture(folder / image).to_float()
        for place, sigma in enumerate(SIGMAS):
            noisy, told = inputs[2 * index + place]
            assert told == sigma
            assert noisy.dtype == np.float32
            for method, output in (("noisy", noisy), ("half", noisy / 2)):
                score = evaluation.result(method, SHOWN[place]).scores[index]
                assert score.image == image
                assert score.psnr == psnr(np.clip(output, 0, 1), clean)
                assert score.ssim == ssim(np.clip(output, 0, 1), clean)
                assert score.megapixels == clean.shape[0] * clean.shape[1] / 1e6
    result = evaluation.result("half", SHOWN[0])
    assert result.psnr == pytest.approx(np.mean([score.psnr for score in result.scores]))
    assert result.seconds > 0
    assert result.megapixels_per_second > 0


def test_noise_is_not_clipped_and_has_its_sigma(folder):
    half = Half()
    evaluate_methods(folder, noise(15, 50), {"half": half})
    for (noisy, sigma), image in zip(half.whole_images()[1::2], ("a.png", "b.png", "sub/c <&>.png"), strict=True):
        difference = noisy - read_picture(folder / image).to_float()
        assert difference.std() == pytest.approx(sigma, rel=0.05)
        assert noisy.min() < 0


def test_results_depend_neither_on_the_order_nor_on_the_choice_of_conditions(folder):
    def score(*sigmas, seed):
        return evaluate_methods(folder, noise(*sigmas), NOISY, seed=seed).result("noisy", SHOWN[1]).psnr

    expected = score(15, 50, seed=7)
    assert score(50, 15, seed=7) == score(50, seed=7) == expected
    assert score(15, 50, seed=8) != expected


def test_each_image_has_noise_of_its_own(tmp_path, folder):
    content = (folder / "a.png").read_bytes()
    (tmp_path / "same").mkdir()
    for name in ("x.png", "y.png"):
        (tmp_path / "same" / name).write_bytes(content)
    scores = evaluate_methods(tmp_path / "same", noise(25), NOISY).results[0].scores
    assert scores[0].psnr != scores[1].psnr


def test_an_unusable_image_is_named_and_skipped(folder):
    before = evaluate_methods(folder, noise(25), NOISY)
    (folder / "z.png").write_bytes(b"")
    (folder / "zz.pgm").write_bytes(b"P5 4 20 255\n" + bytes(80))
    (folder / "notes.txt").write_text("no image")
    evaluation = evaluate_methods(folder, noise(25), NOISY)
    assert [skipped.image for skipped in evaluation.skipped] == ["z.png", "zz.pgm"]
    assert evaluation.skipped[0].reason.startswith("the file is empty")
    assert evaluation.skipped[1].reason == "4x20 pixels, but SSIM needs at least 11x11"
    assert evaluation.results[0].psnr == before.results[0].psnr


def test_images_that_a_task_cannot_use_are_named(folder):
    evaluation = evaluate_methods(folder, OneChannel(), {"repeat": Repeat()})
    assert [skipped.image for skipped in evaluation.skipped] == ["a.png", "b.png"]
    assert evaluation.skipped[0].reason == "a grey picture has no channels to lose"
    (folder / "sub" / "c <&>.png").unlink()
    with pytest.raises(DatasetError, match="none of the 2 images can be used; the first: a grey picture"):
        evaluate_methods(folder, OneChannel(), {"repeat": Repeat()})


def test_folders_with_nothing_usable_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate_methods(tmp_path / "nowhere", noise(25), NOISY)
    with pytest.raises(DatasetError, match=r"no images in it; known are .*\.png"):
        evaluate_methods(tmp_path, noise(25), NOISY)
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DatasetError, match="none of the 1 images can be used; the first: not an image"):
        evaluate_methods(tmp_path, noise(25), NOISY)


def test_senseless_evaluations_are_refused(folder):
    with pytest.raises(UsageError, match="no methods"):
        evaluate_methods(folder, noise(25), {})
    with pytest.raises(UsageError, match="seed"):
        evaluate_methods(folder, noise(25), NOISY, seed=-1)
    for sigmas, message in (((), "different ones, not: none"), ((25.5, 25.5), "not: sigma 25.5, sigma 25.5")):
        with pytest.raises(UsageError, match=message):
            evaluate_methods(folder, noise(*sigmas), NOISY)


def test_an_output_of_another_shape_is_refused(folder):
    with pytest.raises(UsageError, match=r"shape \(49, 60\) cannot be compared"):
        evaluate_methods(folder, noise(25), {"cropper": lambda noisy, sigma: noisy[1:]})


def test_progress_counts_every_run_and_skipped_images(folder):
    (folder / "ab.png").write_bytes(b"")
    steps = []
    evaluate_methods(folder, noise(15, 50), {**NOISY, "half": Half()}, progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert {total for _, total, _ in steps} == {16}
    assert steps[4][2] == "ab.png"


def test_observations_may_have_another_shape_than_clean_images(folder):
    repeat = Repeat()
    evaluation = evaluate_methods(folder, OneChannel(), {"repeat": repeat}, crops=CropSettings(count=2, size=16))
    assert evaluation.images == ("sub/c <&>.png",)
    assert repeat.told == ["red", "red", "blue"]  # the first is the warm-up
    clean = read_picture(folder / "sub/c <&>.png").to_float()
    for index, condition in enumerate(evaluation.conditions):
        score = evaluation.result("repeat", condition).scores[0]
        assert score.psnr == psnr(np.stack([clean[..., 2 * index]] * 3, -1), clean)
    assert [(panel.method, panel.condition.value) for panel in evaluation.crops[0].panels] == [
        ("repeat", "red"),
        ("repeat", "blue"),
    ]


def test_json_says_everything(folder):
    (folder / "z.png").write_bytes(b"")
    perfect_and_noisy = noise(25)
    perfect_and_noisy.conditions = (0.0, 25 / 255)
    evaluation = evaluate_methods(folder, perfect_and_noisy, NOISY, seed=3, device="cuda:1")
    record = json.loads(evaluation.to_json())
    assert (record["task"], record["dataset"], record["count"]) == ("denoise", "pictures", 3)
    assert (record["seed"], record["device"], record["axis"]) == (3, "cuda:1", "sigma")
    assert "neither clipped nor rounded" in record["protocol"]
    assert {"restorekit", "python", "torch", "numpy", "scikit-image"} == set(record["versions"])
    assert record["skipped"][0]["image"] == "z.png"
    clean, noisy = record["results"]
    assert clean["psnr"] is None
    assert (noisy["method"], noisy["sigma"], noisy["level"]) == ("noisy", 25, 25)
    assert noisy["psnr"] == evaluation.results[1].psnr
    assert [score["image"] for score in noisy["images"]] == ["a.png", "b.png", "sub/c <&>.png"]


def test_json_and_page_have_the_words_of_the_task(folder):
    evaluation = evaluate_methods(folder, OneChannel(), {"repeat": Repeat()}, notes=["repeat: <simple>"])
    record = json.loads(evaluation.to_json())
    assert (record["task"], record["axis"], record["notes"]) == ("demosaic", "pattern", ["repeat: <simple>"])
    assert [result["pattern"] for result in record["results"]] == ["red", "blue"]
    page = render_report(evaluation)
    assert "Demosaic: pictures" in page
    assert "&lt;red&gt;" in page
    assert "<red>" not in page
    assert "repeat: &lt;simple&gt;" in page
    assert evaluation.megapixels_per_second("repeat") > 0


def test_crops_show_clean_noisy_and_every_method(folder):
    crops = CropSettings(count=2, size=24)
    evaluation = evaluate_methods(folder, noise(15, 50), {"half": Half()}, crops=crops)
    assert len(evaluation.crops) == 2
    for crop in evaluation.crops:
        clean = read_picture(folder / crop.image).pixels
        np.testing.assert_array_equal(crop.clean, clean[crop.top : crop.top + 24, crop.left : crop.left + 24])
        assert [(panel.method, panel.condition) for panel in crop.panels] == [
            (method, condition) for condition in SHOWN for method in ("noisy", "half")
        ]
        score = next(s for s in evaluation.result("half", SHOWN[1]).scores if s.image == crop.image)
        assert crop.panels[3].psnr == score.psnr
        shown = psnr(crop.panels[3].pixels / 255, crop.clean / 255)
        assert crop.panels[3].crop_psnr == pytest.approx(shown, abs=0.05)


def test_the_noisy_input_is_shown_once(folder):
    evaluation = evaluate_methods(folder, noise(25), NOISY, crops=CropSettings(count=1))
    assert [panel.method for panel in evaluation.crops[0].panels] == ["noisy"]
    assert evaluate_methods(folder, noise(25), NOISY, crops=CropSettings(count=0)).crops == ()


def test_the_most_detailed_images_are_kept(tmp_path):
    checks = np.indices((16, 16)).sum(0) % 2
    for name, contrast in (("a-low", 0.1), ("b-high", 0.9), ("c-lowest", 0.05), ("d-middle", 0.5)):
        save(tmp_path / f"{name}.png", (255 * contrast * checks).astype(np.uint8))
    evaluation = evaluate_methods(tmp_path, noise(25), NOISY, crops=CropSettings(count=2, size=8))
    assert [crop.image for crop in evaluation.crops] == ["b-high.png", "d-middle.png"]


def test_the_most_detailed_window():
    image = np.zeros((50, 70), np.float32)
    image[21:31, 44:54] = np.indices((10, 10)).sum(0) % 2
    window = most_detailed_window(image, 12)
    assert window.cut(image).sum() == image.sum()
    ramp = np.broadcast_to(np.minimum(np.arange(40), 20) * np.float32(0.05), (30, 40))
    assert most_detailed_window(ramp, 10).detail == pytest.approx(0.05)
    whole = most_detailed_window(np.zeros((5, 9, 3), np.float32), 12)
    assert (whole.top, whole.left, whole.height, whole.width) == (0, 0, 5, 9)
