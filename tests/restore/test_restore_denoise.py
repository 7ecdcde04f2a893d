"""Which model a picture gets, and at which noise level."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.image import Metadata, Picture
from restorekit.inference.runner import RunSettings
from restorekit.models import SparseCoding, SparseCodingSettings
from restorekit.restore import denoise
from restorekit.restore.denoise import Denoise, DenoiseArray
from restorekit.zoo import LoadedModel
from restorekit.zoo import selection as choice
from restorekit.zoo.selection import ModelSelection
from tests.cards import bare_card

CARD = bare_card("tiny", "denoise", 1, (2.0, 50.0))
GREY = Picture(np.full((8, 9), 100, np.uint8), Metadata("png"))
COLOUR = Picture(np.full((8, 9, 3), 100, np.uint8), Metadata("png"))


def network(channels):
    return SparseCoding(SparseCodingSettings(channels, patch_size=3, atoms=2, steps=1, knots=(0.0,), scales=1))


@pytest.fixture
def shelf(monkeypatch):
    """The models that can be found, by name."""
    models = {
        "tiny": LoadedModel(CARD, network(1), Path("tiny")),
        "denoise-gray-groupsc": LoadedModel(replace(CARD, name="denoise-gray-groupsc"), network(1), Path("gray")),
        "denoise-color-groupsc": LoadedModel(
            replace(CARD, name="denoise-color-groupsc", channels=3), network(3), Path("color")
        ),
    }

    def find(name, offline):
        if name not in models:
            raise ModelNotFoundError(f"no model is called {name}")
        return name

    monkeypatch.setattr(choice, "find", find)
    monkeypatch.setattr(choice, "load_model", models.__getitem__)
    monkeypatch.setattr(choice, "specialists", lambda task: {})
    return models


@pytest.fixture
def about_10(shelf, monkeypatch):
    """The name of a grey model for levels about 10, beside the others."""
    card = replace(CARD, name="about-10", level_range=(9.0, 11.0))
    shelf["about-10"] = LoadedModel(card, network(1), Path("about-10"))
    monkeypatch.setattr(choice, "specialists", lambda task: {1: {"about-10": card}})
    return "about-10"


def test_the_default_model_is_that_of_the_picture(shelf):
    operation = Denoise(0.1, ModelSelection("denoise", None), RunSettings())
    assert operation(GREY).model == "denoise-gray-groupsc"
    assert operation(COLOUR).model == "denoise-color-groupsc"
    assert operation(COLOUR).picture.pixels.shape == (8, 9, 3)


def test_a_default_model_is_missed_only_when_needed(shelf):
    del shelf["denoise-color-groupsc"]
    operation = Denoise(0.1, ModelSelection("denoise", None), RunSettings())
    assert operation(GREY).parameters == (("sigma", 25.5),)
    with pytest.raises(ModelNotFoundError):
        operation(COLOUR)


def test_a_model_of_another_task_or_channel_count(shelf):
    shelf["tiny"] = replace(shelf["tiny"], card=replace(CARD, task="demosaic"))
    with pytest.raises(ModelMismatchError, match="is a model to demosaic, not to denoise; denoise-gray-groupsc and"):
        Denoise(0.1, ModelSelection("denoise", "tiny"), RunSettings())
    with pytest.raises(
        ModelMismatchError, match="a grey picture, but denoise-color-groupsc is a model for colour ones"
    ):
        Denoise(0.1, ModelSelection("denoise", "denoise-color-groupsc"), RunSettings())(GREY)


@pytest.mark.parametrize("sigma", [0.0, -0.1, 1.9 / 255, 50.1 / 255, float("nan"), 1e6])
def test_levels_a_model_was_not_made_for(shelf, sigma):
    with pytest.raises(UsageError, match=r"use a number from 2 up to 50 \(on the scale 0..255\), or auto"):
        Denoise(sigma, ModelSelection("denoise", "tiny"), RunSettings())


def test_the_ends_of_the_range_are_in_it(shelf):
    for level in (2, 50):
        assert Denoise(level / 255, ModelSelection("denoise", "tiny"), RunSettings())(GREY).parameters == (
            ("sigma", pytest.approx(level)),
        )


@pytest.mark.parametrize(
    ("estimate", "taken", "note"),
    [
        (10 / 255, 10 / 255, "noise estimated as sigma 10"),
        (0.0, 2 / 255, "noise estimated as sigma 0, taken as 2, the nearest that tiny was made for"),
        (60 / 255, 50 / 255, "noise estimated as sigma 60, taken as 50, the nearest that tiny was made for"),
    ],
)
def test_an_estimate_is_clipped_and_told(shelf, monkeypatch, estimate, taken, note):
    monkeypatch.setattr(denoise, "estimate_sigma", lambda pixels: estimate)
    restored = Denoise(None, ModelSelection("denoise", "tiny"), RunSettings())(GREY)
    assert (restored.parameters, restored.notes) == ((("sigma", 255 * taken),), (note,))


def test_as_a_method_to_be_measured(shelf):
    noisy = np.full((8, 9), 0.4, np.float32)
    method = DenoiseArray(ModelSelection("denoise", None), RunSettings())
    assert method.name == "default (balanced)"
    assert method(noisy, 0.1).shape == (8, 9)
    assert DenoiseArray(ModelSelection("denoise", "tiny"), RunSettings()).name == "tiny (balanced)"
    with pytest.raises(ModelMismatchError):
        DenoiseArray(ModelSelection("denoise", "tiny"), RunSettings())(np.stack([noisy] * 3, -1), 0.1)


def test_the_default_goes_by_the_level_that_was_named(about_10):
    at_10, at_12 = (Denoise(level / 255, ModelSelection("denoise", None), RunSettings()) for level in (10, 12))
    assert at_10(GREY).model == at_10.examined(GREY)[1].model.card.name == about_10
    assert at_10(COLOUR).model == "denoise-color-groupsc"
    assert at_12(GREY).model == "denoise-gray-groupsc"


def test_the_default_goes_by_the_level_estimated_on_each_picture(about_10, monkeypatch):
    estimates = iter((10.5, 12, 60))
    monkeypatch.setattr(denoise, "estimate_sigma", lambda pixels: next(estimates) / 255)
    operation = Denoise(None, ModelSelection("denoise", None), RunSettings())
    restored = [operation(GREY) for _ in range(3)]
    assert [one.model for one in restored] == [about_10, "denoise-gray-groupsc", "denoise-gray-groupsc"]
    assert [one.parameters[0][1] for one in restored] == pytest.approx([10.5, 12, 50])


def test_what_is_measured_goes_by_the_level(about_10, shelf):
    del shelf["denoise-gray-groupsc"]
    method = DenoiseArray(ModelSelection("denoise", None), RunSettings())
    noisy = np.full((8, 9), 0.4, np.float32)
    assert method(noisy, 10 / 255).shape == (8, 9)
    with pytest.raises(ModelNotFoundError):
        method(noisy, 12 / 255)


def test_the_models_of_all_levels_are_loaded_at_once(about_10, shelf, monkeypatch):
    loaded = []
    monkeypatch.setattr(choice, "load_model", lambda name: loaded.append(name) or shelf[name])
    models = ModelSelection("denoise", None)
    denoise.check_sigmas((10 / 255, 12 / 255), models)
    assert sorted(loaded) == [about_10, "denoise-color-groupsc", "denoise-gray-groupsc"]
    DenoiseArray(models, RunSettings())(np.full((8, 9), 0.4, np.float32), 12 / 255)
    assert len(loaded) == 3
