from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from restorekit.errors import UsageError
from restorekit.explain.page import PAGE, render_explanation
from restorekit.explain.trace import Subject
from restorekit.tasks.base import RestorationTrace
from restorekit.zoo import load_model
from tests.html_page import check_self_contained

WEIGHTS = Path(__file__).parents[2] / "weights"
CLEAN = (data.camera()[100:140, 200:246] / 255).astype(np.float32)
HOSTILE = "<script>alert(\"x\")</script> & 'q'.png"


@pytest.fixture
def run():
    """A picture restored; that the network had a part in it is only said."""
    noisy = CLEAN + np.random.default_rng(0).normal(0, 0.1, CLEAN.shape).astype(np.float32)
    model = load_model(WEIGHTS / "denoise-gray-groupsc.safetensors")
    return RestorationTrace(model, 25 / 255, 2, noisy, CLEAN * 0.9, truth_of=lambda _: CLEAN)


def page_of(subject):
    return check_self_contained(render_explanation(subject)[PAGE].decode())


def test_names_from_outside_are_escaped(run):
    model = replace(run.model, card=replace(run.model.card, name='m"<b>onerror</b>'))
    subject = Subject(HOSTILE, replace(run, model=model), (("kind<i>", "<img src=x>"),))
    source = render_explanation(subject)[PAGE].decode()
    assert "<script" not in source
    assert "<b>onerror" not in source
    assert "<img src=x" not in source
    page = check_self_contained(source)
    assert page.text.count(f"How {HOSTILE} was denoised") == 2  # the title and the heading
    assert 'm"<b>onerror</b> · kind<i> <img src=x> · 46×40 pixels' in page.text


def test_the_page_shows_every_step_and_every_neighbour(run):
    subject = Subject("a.png", run, (("sigma", 25.0),), CLEAN, (20, 20))
    files = render_explanation(subject)
    page = check_self_contained(files[PAGE].decode())
    steps, neighbours = subject.network.settings.steps, subject.network.settings.neighbours
    assert list(files)[-1] == PAGE
    assert {f"step-{step:02}.png" for step in range(1, steps + 1)} < set(files)
    assert {"noisy.png", "result.png", "clean.png", "atom-counts.png", "confidence.png", "error.png"} < set(files)
    assert {"patch.png", "atoms.png", "similar-places.png", "similar.png"} < set(files)
    assert len(page.all("input")) == len(page.all("circle")) == steps
    assert [index for index, button in enumerate(page.all("input")) if "checked" in button] == [steps - 1]
    assert f"together with the {neighbours} patches nearby" in page.text
    assert page.text.count("changed by") == steps
    patches = [image for image in page.all("img") if image["alt"] == "patch"]
    assert sum(image["height"] != image["width"] for image in patches) == neighbours + 1  # observed over restored
    assert "PSNR after each step, dB" in page.text
    assert "denoise-gray-groupsc · sigma 25 · 46×40 pixels · " in page.text
    assert "After steps 3, 6 and 9 the patches" in page.text


def test_without_the_truth_nothing_is_compared_with_it(run):
    subject = Subject("a.png", run, ())
    page = page_of(subject)
    assert " dB" not in page.text
    assert "true error" not in page.text
    assert "Change in each step, of 255" in page.text
    assert "error.png" not in render_explanation(subject)


def test_a_local_network_says_so(run):
    subject = Subject("a.png", replace(run, model=load_model(WEIGHTS / "denoise-gray-sc.safetensors")), ())
    assert "looks at no other patches" in page_of(subject).text


@pytest.mark.parametrize(("at", "clean"), [((46, 3), CLEAN), ((3, 40), CLEAN), ((3, 3), CLEAN[1:])])
def test_a_pixel_outside_and_another_scene_are_refused(run, at, clean):
    with pytest.raises(UsageError):
        Subject("a.png", run, (), clean, at)
