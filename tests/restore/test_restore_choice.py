"""Which model a task takes, by name and by default."""

from dataclasses import replace
from pathlib import Path

import pytest

from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError
from restorekit.types import Quality
from restorekit.zoo import LoadedModel, ModelCard, default_model
from restorekit.zoo import selection as choice
from restorekit.zoo.selection import ModelSelection
from tests.cards import bare_card
from tests.tiny import tiny_enlarger, tiny_network


def make_model(name: str, task: str, channels: int, level_range: tuple[float, float] = (0, 75)) -> LoadedModel:
    card = bare_card(name, task, channels, level_range)
    return LoadedModel(card, tiny_network(channels), Path(name))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, LoadedModel]:
    """The models that can be found, by name; none at first."""
    models: dict[str, LoadedModel] = {}

    def find(name: str, offline: bool) -> str:
        if name not in models:
            raise ModelNotFoundError(f"no model is called {name}")
        return name

    monkeypatch.setattr(choice, "find", find)
    monkeypatch.setattr(choice, "load_model", models.__getitem__)
    monkeypatch.setattr(choice, "specialists", lambda task: {})
    return models


@pytest.fixture
def with_stand_ins(installed: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch) -> dict[str, LoadedModel]:
    """The default models to denoise, and those that stand in about 15 and, in grey, 25; by name."""
    cards: dict[int, dict[str, ModelCard]] = {1: {}, 3: {}}
    for channels, level in ((1, 15), (1, 25), (3, 15)):
        model = make_model(f"{channels}-about-{level}", "denoise", channels, (0.9 * level, 1.1 * level))
        cards[channels][model.card.name] = model.card
        installed[model.card.name] = model
    for channels in (1, 3):
        installed[default_model("denoise", channels)] = make_model("general", "denoise", channels)
    monkeypatch.setattr(choice, "specialists", lambda task: cards if task == "denoise" else {})
    return installed


@pytest.mark.parametrize(("task", "channels"), [("demosaic", 3), ("deblock", 1)])
def test_a_task_with_one_default_goes_by_its_name(installed, task, channels):
    name = default_model(task, channels)
    models = ModelSelection(task, None)
    assert (models.name, models.name_at(Quality.BEST), models.note) == (name, f"{name} (best)", "")
    assert models.candidates() == ()
    with pytest.raises(
        ModelNotFoundError, match=f"{name}, the default model to {task}, is not installed; name another"
    ):
        models.fitting(channels)
    installed[name] = make_model(name, task, channels)
    assert models.candidates() == (installed[name],)
    assert models.fitting(channels) is installed[name]


def test_what_default_stands_for_is_told_where_it_depends_on_the_picture(installed):
    models = ModelSelection("denoise", None)
    grey, colour = default_model("denoise", 1), default_model("denoise", 3)
    assert models.name == "default"
    assert models.note == f"default: for grey images {grey}; for colour images {colour}"
    installed[colour] = make_model(colour, "denoise", 3)
    assert models.candidates() == (installed[colour],)


def test_a_model_that_was_named_is_the_only_one(installed):
    installed["mine"] = make_model("mine", "deblock", 1)
    models = ModelSelection("deblock", "mine")
    assert (models.name, models.note, models.candidates()) == ("mine", "", (installed["mine"],))
    assert models.fitting(1) is installed["mine"]
    assert ModelSelection("deblock", installed["mine"]).fitting(1) is installed["mine"]
    with pytest.raises(ModelNotFoundError, match="no model is called yours"):
        ModelSelection("deblock", "yours")


def test_models_of_another_task_or_of_no_use_to_it_are_refused():
    sharpener = make_model("mine", "denoise", 3)
    with pytest.raises(ModelMismatchError, match="mine is a model to denoise, not to demosaic; demosaic-color"):
        ModelSelection("demosaic", sharpener)
    with pytest.raises(
        ModelMismatchError, match="mine is for grey images, and to demosaic takes one for colour images"
    ):
        ModelSelection("demosaic", make_model("mine", "demosaic", 1))
    with pytest.raises(ModelMismatchError, match="mine is for colour images, and to deblock takes one for grey images"):
        ModelSelection("deblock", make_model("mine", "deblock", 3))


@pytest.mark.parametrize(
    ("channels", "level", "name"),
    [
        (1, 13.5, "1-about-15"),
        (1, 15, "1-about-15"),
        (1, 16.5 + 1e-9, "1-about-15"),
        (1, 16.6, "general"),
        (1, 25, "1-about-25"),
        (1, 0.1, "general"),
        (1, None, "general"),
        (3, 15, "3-about-15"),
        (3, 25, "general"),
    ],
)
def test_the_default_is_the_model_whose_card_covers_the_level(with_stand_ins, channels, level, name):
    models = ModelSelection("denoise", None)
    assert models.fitting(channels, level).card.name == name
    assert models.candidates(level)[channels // 2].card.name == name


def test_what_is_to_be_explained_has_a_model_with_something_to_show(with_stand_ins):
    models = ModelSelection("denoise", None, explained=True)
    assert models.fitting(1, 15).card.name == "general"
    assert "about" not in models.note
    with pytest.raises(UsageError, match="no atoms"):
        ModelSelection("denoise", replace(models.fitting(1, 15), network=tiny_enlarger(1)), explained=True)


def test_a_model_that_was_named_stays_whatever_the_level(with_stand_ins):
    models = ModelSelection("denoise", default_model("denoise", 1))
    assert models.fitting(1, 15).card.name == "general"
    assert ModelSelection("denoise", "1-about-15").fitting(1, 40).card.name == "1-about-15"


def test_a_model_for_a_level_serves_where_the_general_one_is_missing(with_stand_ins):
    del with_stand_ins[default_model("denoise", 1)]
    models = ModelSelection("denoise", None)
    assert models.fitting(1, 15).card.name == "1-about-15"
    with pytest.raises(ModelNotFoundError, match=default_model("denoise", 1)):
        models.fitting(1, 40)


def test_default_is_said_to_stand_for_the_models_of_levels_too(with_stand_ins):
    general = default_model("denoise", 1), default_model("denoise", 3)
    assert ModelSelection("denoise", None).note == (
        f"default: for grey images 1-about-15 up to 16.5, 1-about-25 up to 27.5, else {general[0]}; "
        f"for colour images 3-about-15 up to 16.5, else {general[1]}"
    )
    assert "about" not in ModelSelection("deblur", None).note


def test_one_default_for_both_kinds_of_picture_takes_both(installed):
    enlarger = make_model("superres-color-enlarger", "superres", 3)
    installed[enlarger.card.name] = enlarger
    for models in (ModelSelection("superres", None), ModelSelection("superres", enlarger)):
        assert models.name == "superres-color-enlarger"
        assert models.fitting(1) is models.fitting(3) is enlarger
    with pytest.raises(ModelMismatchError, match="to superres; superres-color-enlarger would fit"):
        ModelSelection("superres", make_model("other", "deblur", 3))


def test_a_model_at_one_scale_stands_in_for_grey_and_colour(installed, monkeypatch):
    general = make_model("superres-color-enlarger", "superres", 3, (2, 4))
    special = make_model("superres-color-enlarger-4", "superres", 3, (4, 4))
    installed |= {model.card.name: model for model in (general, special)}
    cards = {special.card.name: special.card}
    monkeypatch.setattr(choice, "specialists", lambda task: {1: cards, 3: cards})
    models = ModelSelection("superres", None)
    assert models.name == "default"
    assert models.note == "default: superres-color-enlarger-4 at 4, else superres-color-enlarger"
    for channels in (1, 3):
        assert models.fitting(channels, 4) is special
        assert models.fitting(channels, 3) is general
        assert ModelSelection("superres", special).fitting(channels, 4) is special
    assert models.candidates(2) == (general, general)


@pytest.mark.parametrize("task", ["deblur", "superres"])
def test_a_prior_is_a_model_for_all_levels(with_stand_ins, task):
    assert ModelSelection("deblur", None).fitting(1).card.name == "general"
    with pytest.raises(
        ModelMismatchError, match=r"1-about-15 was made for noise of sigma 13.5 to 16.5 alone.*; denoise-gray-groupsc"
    ):
        ModelSelection(task, "1-about-15")
    faint = make_model("faint", "denoise", 1, (0, 10))
    with pytest.raises(ModelMismatchError, match="has to remove noise from 1 to 50"):
        ModelSelection(task, faint)
