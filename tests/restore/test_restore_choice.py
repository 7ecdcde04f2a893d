"""Which model a task takes, by name and by default."""

from pathlib import Path

import pytest

from restorekit.errors import ModelMismatchError, ModelNotFoundError
from restorekit.restore import choice
from restorekit.restore.choice import ModelChoice
from restorekit.restore.engine import Quality
from restorekit.zoo import LoadedModel, default_model
from tests.cards import bare_card
from tests.tiny import tiny_network


def make_model(name: str, task: str, channels: int) -> LoadedModel:
    card = bare_card(name, task, channels, (0, 75))
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
    return models


@pytest.mark.parametrize(("task", "channels"), [("demosaic", 3), ("deblock", 1)])
def test_a_task_with_one_default_goes_by_its_name(installed, task, channels):
    name = default_model(task, channels)
    models = ModelChoice(task, None)
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
    models = ModelChoice("denoise", None)
    grey, colour = default_model("denoise", 1), default_model("denoise", 3)
    assert models.name == "default"
    assert models.note == f"default: {grey} for grey images, {colour} for colour images"
    installed[colour] = make_model(colour, "denoise", 3)
    assert models.candidates() == (installed[colour],)


def test_a_model_that_was_named_is_the_only_one(installed):
    installed["mine"] = make_model("mine", "deblock", 1)
    models = ModelChoice("deblock", "mine")
    assert (models.name, models.note, models.candidates()) == ("mine", "", (installed["mine"],))
    assert models.fitting(1) is installed["mine"]
    assert ModelChoice("deblock", installed["mine"]).fitting(1) is installed["mine"]
    with pytest.raises(ModelNotFoundError, match="no model is called yours"):
        ModelChoice("deblock", "yours")


def test_models_of_another_task_or_of_no_use_to_it_are_refused():
    sharpener = make_model("mine", "denoise", 3)
    with pytest.raises(ModelMismatchError, match="mine is a model to denoise, not to demosaic; demosaic-color"):
        ModelChoice("demosaic", sharpener)
    with pytest.raises(
        ModelMismatchError, match="mine is for grey images, and to demosaic takes one for colour images"
    ):
        ModelChoice("demosaic", make_model("mine", "demosaic", 1))
    with pytest.raises(ModelMismatchError, match="mine is for colour images, and to deblock takes one for grey images"):
        ModelChoice("deblock", make_model("mine", "deblock", 3))
