"""Which model denoises a picture, and at which sigma."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.image import Metadata, Picture
from restorekit.models import SparseCoding, SparseCodingSettings
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.denoise import DenoiseBenchmark, DenoiseBenchmarkOptions, DenoiseOptions
from restorekit.types import RunSettings
from restorekit.zoo import LoadedModel, selection
from tests.cards import bare_card
from tests.installed import install

CARD = bare_card("tiny", "denoise", 1, (2.0, 50.0))
GREY = Picture(np.full((8, 9), 100, np.uint8), Metadata("png"))
COLOUR = Picture(np.full((8, 9, 3), 100, np.uint8), Metadata("png"))
NOISY = np.full((8, 9), 0.4, np.float32)


def network(channels):
    return SparseCoding(SparseCodingSettings(channels, patch_size=3, atoms=2, steps=1, knots=(0.0,), scales=1))


@pytest.fixture
def shelf(monkeypatch):
    """The models that can be found, by name."""
    models = install(monkeypatch)
    for name, channels in (("tiny", 1), ("denoise-gray-groupsc", 1), ("denoise-color-groupsc", 3)):
        models[name] = LoadedModel(replace(CARD, name=name, channels=channels), network(channels), Path(name))
    return models


@pytest.fixture
def about_10(shelf):
    """The name of a specialist for sigmas about 10, for grey pictures."""
    card = replace(CARD, name="denoise-gray-unet", conditioning_range=(9.0, 11.0))
    shelf[card.name] = LoadedModel(card, network(1), Path(card.name))
    return card.name


def run(model=None, *, explain=False):
    return Run(get_task("denoise").select(None, model), RunSettings(), explain=explain)


def operation(sigma, model=None, *, explain=False):
    return get_task("denoise").prepare(DenoiseOptions(str(sigma)), run(model, explain=explain))


def benchmark(*sigmas):
    return DenoiseBenchmark(DenoiseBenchmarkOptions([str(sigma) for sigma in sigmas]))


def test_the_default_model_is_that_of_the_picture(shelf):
    denoise = operation(25.5)
    assert denoise(GREY).model == "denoise-gray-groupsc"
    assert denoise(COLOUR).model == "denoise-color-groupsc"
    assert denoise(COLOUR).picture.pixels.shape == (8, 9, 3)


def test_a_default_model_is_missed_only_when_needed(shelf):
    del shelf["denoise-color-groupsc"]
    denoise = operation(25.5)
    assert denoise(GREY).parameters == (("sigma", 25.5),)
    with pytest.raises(ModelNotFoundError):
        denoise(COLOUR)


def test_a_model_of_another_task_or_channel_count_is_refused(shelf):
    shelf["tiny"] = replace(shelf["tiny"], card=replace(CARD, task="demosaic"))
    with pytest.raises(ModelMismatchError, match="is a model to demosaic, not to denoise; denoise-gray-groupsc and"):
        operation(25.5, "tiny")
    with pytest.raises(
        ModelMismatchError, match="a grey picture, but denoise-color-groupsc is a model for colour ones"
    ):
        operation(25.5, "denoise-color-groupsc")(GREY)


@pytest.mark.parametrize("sigma", [1.9, 50.1, 1e6])
def test_sigmas_that_a_model_was_not_made_for_are_refused(shelf, sigma):
    with pytest.raises(UsageError, match=r"use a number from 2 up to 50 \(on the scale 0..255\), or auto"):
        operation(sigma, "tiny")


@pytest.mark.parametrize("sigma", [0.0, -25.5, "nan", "inf", "loud", None])
def test_what_is_no_sigma_is_refused(shelf, sigma):
    with pytest.raises(UsageError, match=r"use a number above 0 \(on the scale 0..255\), or auto"):
        operation(sigma, "tiny")


@pytest.mark.parametrize("sigma", [2, 50])
def test_the_ends_of_the_range_are_in_it(shelf, sigma):
    assert operation(sigma, "tiny")(GREY).parameters == (("sigma", pytest.approx(sigma)),)


@pytest.mark.parametrize(
    ("estimate", "taken", "note"),
    [
        (10 / 255, 10 / 255, "noise estimated as sigma 10"),
        (0.0, 2 / 255, "noise estimated as sigma 0, taken as 2, the nearest that tiny was made for"),
        (60 / 255, 50 / 255, "noise estimated as sigma 60, taken as 50, the nearest that tiny was made for"),
    ],
)
def test_an_estimate_is_clipped_and_told(shelf, monkeypatch, estimate, taken, note):
    monkeypatch.setattr("restorekit.physics.noise.estimate_sigma", lambda pixels: estimate)
    restored = operation("auto", "tiny")(GREY)
    assert (restored.parameters, restored.notes) == ((("sigma", 255 * taken),), (note,))


def test_as_a_method_to_be_measured(shelf):
    measured = benchmark(25.5)
    assert measured.method_name(run()) == "default (balanced)"
    assert measured.restore(NOISY, 0.1, run()).shape == (8, 9)
    assert measured.method_name(run("tiny")) == "tiny (balanced)"
    with pytest.raises(ModelMismatchError):
        measured.restore(np.stack([NOISY] * 3, -1), 0.1, run("tiny"))


def test_the_default_goes_by_the_sigma_that_was_named(about_10):
    at_10, at_12 = operation(10, explain=True), operation(12)
    assert at_10(GREY).model == at_10(GREY).trace.model.card.name == about_10
    assert at_10(COLOUR).model == "denoise-color-groupsc"
    assert at_12(GREY).model == "denoise-gray-groupsc"


def test_the_default_goes_by_the_sigma_estimated_on_each_picture(about_10, monkeypatch):
    estimates = iter((10.5, 12, 60))
    monkeypatch.setattr("restorekit.physics.noise.estimate_sigma", lambda pixels: next(estimates) / 255)
    denoise = operation("auto")
    restored = [denoise(GREY) for _ in range(3)]
    assert [one.model for one in restored] == [about_10, "denoise-gray-groupsc", "denoise-gray-groupsc"]
    assert [one.parameters[0][1] for one in restored] == pytest.approx([10.5, 12, 50])


def test_a_measured_default_goes_by_the_sigma(about_10, shelf):
    del shelf["denoise-gray-groupsc"]
    measured = benchmark(10, 12)
    assert measured.restore(NOISY, 10 / 255, run()).shape == (8, 9)
    with pytest.raises(ModelNotFoundError):
        measured.restore(NOISY, 12 / 255, run())


def test_the_models_of_all_sigmas_are_loaded_at_once(about_10, shelf, monkeypatch):
    loaded = []
    monkeypatch.setattr(selection, "load_model", lambda name: loaded.append(name) or shelf[name])
    measured, its_run = benchmark(10, 12), run()
    measured.check(its_run)
    assert sorted(loaded) == ["denoise-color-groupsc", "denoise-gray-groupsc", about_10]
    measured.restore(NOISY, 12 / 255, its_run)
    assert len(loaded) == 3
