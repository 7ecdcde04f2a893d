import json
import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from restorekit.errors import DatasetError, UsageError
from restorekit.evaluate import CropSettings, GaussianNoise, baseline, evaluate_methods
from restorekit.evaluate.benchmark import CropKeeper
from restorekit.evaluate.results import Crop, Level
from restorekit.image import read_picture
from restorekit.numerics.metrics import psnr, ssim
from restorekit.pages.figures import most_detailed_window, to_8_bits

LEVELS = (15 / 255, 50 / 255)
SHOWN = (Level(15.0, "sigma 15"), Level(50.0, "sigma 50"))


@dataclass
class Recorder:
    """A method that keeps what it was given, and gives back the half of it."""

    name: str = "half"
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


def test_scores_are_those_of_the_clamped_outputs(folder):
    recorder = Recorder()
    evaluation = evaluate_methods(folder, GaussianNoise(LEVELS), [baseline("noisy"), recorder])
    assert evaluation.images == ("a.png", "b.png", "sub/c <&>.png")
    assert evaluation.methods == ("noisy", "half")
    assert evaluation.levels == SHOWN
    inputs = recorder.whole_images()
    assert [image.ndim for image, _ in inputs] == [2, 2, 2, 2, 3, 3]
    for index, image in enumerate(evaluation.images):
        clean = read_picture(folder / image).to_float()
        for place, sigma in enumerate(LEVELS):
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


def test_noise_is_not_clipped_and_has_its_level(folder):
    recorder = Recorder()
    evaluate_methods(folder, GaussianNoise(LEVELS), [recorder])
    for (noisy, sigma), image in zip(recorder.whole_images()[1::2], ("a.png", "b.png", "sub/c <&>.png"), strict=True):
        noise = noisy - read_picture(folder / image).to_float()
        assert noise.std() == pytest.approx(sigma, rel=0.05)
        assert noisy.min() < 0


def test_results_depend_neither_on_the_order_nor_on_the_choice_of_levels(folder):
    methods = [baseline("noisy")]
    both = evaluate_methods(folder, GaussianNoise(LEVELS), methods, seed=7)
    backwards = evaluate_methods(folder, GaussianNoise(LEVELS[::-1]), methods, seed=7)
    one = evaluate_methods(folder, GaussianNoise(LEVELS[1:]), methods, seed=7)
    expected = both.result("noisy", SHOWN[1]).psnr
    assert backwards.result("noisy", SHOWN[1]).psnr == one.result("noisy", SHOWN[1]).psnr == expected
    assert evaluate_methods(folder, GaussianNoise(LEVELS), methods, seed=8).result("noisy", SHOWN[1]).psnr != expected


def test_each_image_has_noise_of_its_own(tmp_path, folder):
    content = (folder / "a.png").read_bytes()
    (tmp_path / "same").mkdir()
    for name in ("x.png", "y.png"):
        (tmp_path / "same" / name).write_bytes(content)
    scores = evaluate_methods(tmp_path / "same", GaussianNoise((0.1,)), [baseline("noisy")]).results[0].scores
    assert scores[0].psnr != scores[1].psnr


def test_an_unusable_image_is_named_and_skipped(folder):
    before = evaluate_methods(folder, GaussianNoise((0.1,)), [baseline("noisy")])
    (folder / "z.png").write_bytes(b"")
    (folder / "zz.pgm").write_bytes(b"P5 4 20 255\n" + bytes(80))
    (folder / "notes.txt").write_text("no image")
    evaluation = evaluate_methods(folder, GaussianNoise((0.1,)), [baseline("noisy")])
    assert [skipped.image for skipped in evaluation.skipped] == ["z.png", "zz.pgm"]
    assert evaluation.skipped[0].reason.startswith("the file is empty")
    assert evaluation.skipped[1].reason == "4x20 pixels, but SSIM needs at least 11x11"
    assert evaluation.results[0].psnr == before.results[0].psnr


def test_folders_with_nothing_usable(tmp_path):
    methods = [baseline("noisy")]
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate_methods(tmp_path / "nowhere", GaussianNoise((0.1,)), methods)
    with pytest.raises(DatasetError, match=r"no images in it; known are .*\.png"):
        evaluate_methods(tmp_path, GaussianNoise((0.1,)), methods)
    (tmp_path / "a.png").write_bytes(b"junk")
    with pytest.raises(DatasetError, match="none of the 1 images can be used; the first: not an image"):
        evaluate_methods(tmp_path, GaussianNoise((0.1,)), methods)


def test_what_makes_no_sense_is_refused(folder):
    noisy = baseline("noisy")
    with pytest.raises(UsageError, match="no methods"):
        evaluate_methods(folder, GaussianNoise((0.1,)), [])
    with pytest.raises(UsageError, match="noisy, noisy"):
        evaluate_methods(folder, GaussianNoise((0.1,)), [noisy, noisy])
    with pytest.raises(UsageError, match="seed"):
        evaluate_methods(folder, GaussianNoise((0.1,)), [noisy], seed=-1)
    for sigmas, message in (((), "different ones, not: none"), ((0.1, 0.1), "not: sigma 25.5, sigma 25.5")):
        with pytest.raises(UsageError, match=message):
            evaluate_methods(folder, GaussianNoise(sigmas), [noisy])
    for sigma in (-0.1, math.nan, math.inf):
        with pytest.raises(UsageError, match="noise levels must be numbers of at least 0"):
            GaussianNoise((sigma,))


def test_an_output_of_another_shape_is_refused(folder):
    @dataclass
    class Cropper:
        name: str = "cropper"

        def __call__(self, noisy: np.ndarray, sigma: float) -> np.ndarray:
            return noisy[1:]

    with pytest.raises(UsageError, match=r"shape \(49, 60\) cannot be compared"):
        evaluate_methods(folder, GaussianNoise((0.1,)), [Cropper()])


def test_progress_counts_every_run_and_skipped_images(folder):
    (folder / "ab.png").write_bytes(b"")
    steps = []
    evaluate_methods(folder, GaussianNoise(LEVELS), [baseline("noisy"), Recorder()], progress=steps.append)
    assert [step.done for step in steps] == [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16]
    assert {step.total for step in steps} == {16}
    assert steps[4].image == "ab.png"


def test_json_says_everything(folder):
    (folder / "z.png").write_bytes(b"")
    evaluation = evaluate_methods(folder, GaussianNoise((0.0, 25 / 255)), [baseline("noisy")], seed=3, device="cuda:1")
    record = json.loads(evaluation.to_json())
    assert (record["task"], record["dataset"], record["count"]) == ("denoise", "pictures", 3)
    assert (record["seed"], record["device"], record["axis"]) == (3, "cuda:1", "sigma")
    assert "neither clipped nor rounded" in record["protocol"]
    assert {"restorekit", "python", "torch", "numpy", "scikit-image"} == set(record["versions"])
    assert record["skipped"][0]["image"] == "z.png"
    clean, noisy = record["results"]
    assert clean["psnr"] is None
    assert (noisy["method"], noisy["sigma"]) == ("noisy", 25)
    assert noisy["psnr"] == evaluation.results[1].psnr
    assert [score["image"] for score in noisy["images"]] == ["a.png", "b.png", "sub/c <&>.png"]


def test_crops_show_clean_noisy_and_every_method(folder):
    evaluation = evaluate_methods(folder, GaussianNoise(LEVELS), [Recorder()], crops=CropSettings(count=2, size=24))
    assert len(evaluation.crops) == 2
    for crop in evaluation.crops:
        clean = read_picture(folder / crop.image).pixels
        np.testing.assert_array_equal(crop.clean, clean[crop.top : crop.top + 24, crop.left : crop.left + 24])
        assert [(panel.method, panel.level) for panel in crop.panels] == [
            (method, level) for level in SHOWN for method in ("noisy", "half")
        ]
        score = next(s for s in evaluation.result("half", SHOWN[1]).scores if s.image == crop.image)
        assert crop.panels[3].psnr == score.psnr
        shown = psnr(crop.panels[3].pixels / 255, crop.clean / 255)
        assert crop.panels[3].crop_psnr == pytest.approx(shown, abs=0.05)


def test_the_noisy_input_is_shown_once(folder):
    evaluation = evaluate_methods(folder, GaussianNoise((0.1,)), [baseline("noisy")], crops=CropSettings(count=1))
    assert [panel.method for panel in evaluation.crops[0].panels] == ["noisy"]
    assert evaluate_methods(folder, GaussianNoise((0.1,)), [baseline("noisy")], crops=CropSettings(count=0)).crops == ()


def test_the_most_detailed_window():
    image = np.zeros((50, 70), np.float32)
    image[21:31, 44:54] = np.indices((10, 10)).sum(0) % 2
    window = most_detailed_window(image, 12)
    assert window.cut(image).sum() == image.sum()
    ramp = np.broadcast_to(np.minimum(np.arange(40), 20) * np.float32(0.05), (30, 40))
    assert most_detailed_window(ramp, 10).detail == pytest.approx(0.05)
    whole = most_detailed_window(np.zeros((5, 9, 3), np.float32), 12)
    assert (whole.top, whole.left, whole.height, whole.width) == (0, 0, 5, 9)


def test_the_keeper_keeps_the_most_detailed():
    keeper = CropKeeper(2)
    image = np.indices((8, 8)).sum(0).astype(np.float32) % 2
    for name, contrast in (("low", 0.1), ("high", 0.9), ("lowest", 0.05), ("middle", 0.5)):
        window = most_detailed_window(contrast * image, 8)
        if keeper.wants(window):
            keeper.add(window, Crop(name, 0, 0, to_8_bits(image), ()))
    assert [crop.image for crop in keeper.crops] == ["high", "middle"]
