"""Which model restores a picture, named and by default, and where its file is."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from zoo_files import card, write_model

from restorekit.cli.models import _defaults
from restorekit.errors import ModelMismatchError, ModelNotFoundError, UsageError, WeightsError
from restorekit.models import SparseCoding
from restorekit.tasks import TASKS, all_tasks, default_of, get_task
from restorekit.types import DefaultModels, Quality
from restorekit.zoo import (
    LoadedModel,
    ModelSelection,
    ShippedModel,
    find,
    load_model,
    locate,
    selection,
    shipped_models,
)
from restorekit.zoo.selection import ModelFile, weights_folder
from tests.cards import bare_card
from tests.installed import install
from tests.tiny import tiny_enlarger, tiny_network

ROOT = Path(__file__).resolve().parents[2]
WITH_SPECIALISTS = DefaultModels(
    {1: "general-gray", 3: "general-color"},
    specialists={1: ("1-about-15", "1-about-25"), 3: ("3-about-15",)},
)


def select(task: str, model: LoadedModel | str | None = None, *, explained: bool = False) -> ModelSelection:
    return ModelSelection(task, get_task(task).models, model, explained=explained)


def make_model(name: str, task: str, channels: int, conditioning_range: tuple[float, float] = (0, 75)) -> LoadedModel:
    return LoadedModel(bare_card(name, task, channels, conditioning_range), tiny_network(channels), Path(name))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, LoadedModel]:
    """The models that can be found, by name; none at first."""
    return install(monkeypatch)


@pytest.fixture
def with_specialists(installed: dict[str, LoadedModel]) -> dict[str, LoadedModel]:
    """General models, and those for about 15 and, in grey, 25; by name."""
    for channels, sigma in ((1, 15), (1, 25), (3, 15)):
        name = f"{channels}-about-{sigma}"
        installed[name] = make_model(name, "denoise", channels, (0.9 * sigma, 1.1 * sigma))
    for channels, name in WITH_SPECIALISTS.general.items():
        installed[name] = make_model(name, "denoise", channels)
    return installed


# By default.


def test_default_models() -> None:
    assert get_task("denoise").models.general == {1: "denoise-gray-groupsc", 3: "denoise-color-groupsc"}
    assert list(get_task("demosaic").models.general) == [3]
    assert list(get_task("deblock").models.general) == [1]
    assert get_task("demosaic").models.explained == {3: "demosaic-color-groupsc"}
    assert get_task("deblock").models.explained == {1: "deblock-gray-groupsc"}
    for name in TASKS:
        assert get_task(name).name == name


def test_the_tasks_that_a_model_is_the_default_of(tmp_path: Path) -> None:
    assert default_of("denoise-gray-groupsc") == ("denoise", "deblur")
    assert default_of("denoise-color-unet") == ("denoise",)
    assert default_of("denoise-color-sc") == ()
    assert _defaults(find("denoise-gray-groupsc")) == ("denoise", "deblur")
    assert _defaults(tmp_path / "denoise-color-unet.safetensors") == ()
    assert _defaults(Path(os.path.relpath(find("denoise-color-unet")))) == ("denoise",)
    (tmp_path / "weights").symlink_to(weights_folder())
    assert _defaults(tmp_path / "weights" / "denoise-color-unet.safetensors") == ("denoise",)
    defaults = {task for model in shipped_models() for task in default_of(model.card.name)}
    assert defaults == {model.card.task for model in shipped_models()} == set(TASKS)


@pytest.mark.parametrize(("task", "channels"), [("demosaic", 3), ("deblock", 1)])
def test_a_task_with_one_default_goes_by_its_name(installed: dict[str, LoadedModel], task: str, channels: int) -> None:
    name = get_task(task).models.general[channels]
    models = select(task)
    assert (models.name, models.name_at(Quality.BEST), models.note) == (name, f"{name} (best)", "")
    assert models.cards() == ()
    with pytest.raises(
        ModelNotFoundError, match=f"{name}, the default model to {task}, is not installed; name another"
    ):
        models.fitting(channels)
    installed[name] = make_model(name, task, channels)
    assert models.cards() == (installed[name].card,)
    assert models.fitting(channels) is installed[name]


def test_the_models_that_default_stands_for_are_told_where_it_depends_on_the_picture(
    installed: dict[str, LoadedModel],
) -> None:
    models = select("denoise")
    grey, colour = (get_task("denoise").models.general[channels] for channels in (1, 3))
    assert models.name == "default"
    assert models.note == f"default: for grey images {grey}; for colour images {colour}"
    installed[colour] = make_model(colour, "denoise", 3)
    assert models.cards() == (installed[colour].card,)


@pytest.mark.parametrize(
    ("channels", "conditioning", "name"),
    [
        (1, 13.5, "1-about-15"),
        (1, 15, "1-about-15"),
        (1, 16.5 + 1e-9, "1-about-15"),
        (1, 16.6, "general-gray"),
        (1, 25, "1-about-25"),
        (1, 0.1, "general-gray"),
        (1, None, "general-gray"),
        (3, 15, "3-about-15"),
        (3, 25, "general-color"),
    ],
)
def test_the_default_is_the_model_whose_card_covers_the_conditioning(
    with_specialists: dict[str, LoadedModel], channels: int, conditioning: float | None, name: str
) -> None:
    models = ModelSelection("denoise", WITH_SPECIALISTS)
    assert models.fitting(channels, conditioning).card.name == name
    assert models.cards(conditioning)[channels // 2].name == name


def test_a_specialist_serves_where_the_general_model_is_missing(with_specialists: dict[str, LoadedModel]) -> None:
    del with_specialists["general-gray"]
    models = ModelSelection("denoise", WITH_SPECIALISTS)
    assert models.fitting(1, 15).card.name == "1-about-15"
    with pytest.raises(ModelNotFoundError, match="general-gray"):
        models.fitting(1, 40)


def test_default_is_said_to_stand_for_specialists_too(with_specialists: dict[str, LoadedModel]) -> None:
    assert ModelSelection("denoise", WITH_SPECIALISTS).note == (
        "default: for grey images 1-about-15 up to 16.5, 1-about-25 up to 27.5, else general-gray; "
        "for colour images 3-about-15 up to 16.5, else general-color"
    )
    assert "about" not in select("deblur").note


def test_specialists_are_those_that_are_installed(shipped: Path) -> None:
    assert "up to" not in select("denoise").note
    narrow = card(name="denoise-gray-unet", conditioning_range=(13.5, 16.5))
    path = write_model(shipped.with_name("denoise-gray-unet.safetensors"), narrow)
    assert "denoise-gray-unet up to 16.5, else denoise-gray-groupsc" in select("denoise").note
    assert select("denoise").cards(15) == (narrow,)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"denoise-gray-unet\.safetensors: empty"):
        _ = select("denoise").note


def test_models_are_loaded_when_they_are_needed_or_all_at_once(
    with_specialists: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(selection, "load_model", lambda name: loaded.append(name) or with_specialists[name])
    models = ModelSelection("denoise", WITH_SPECIALISTS)
    assert len(models.cards(15)) == 2
    assert not loaded
    models.fitting(1, 40)
    assert loaded == ["general-gray"]
    models.preload(15)
    assert sorted(loaded) == ["1-about-15", "3-about-15", "general-gray"]
    models.fitting(3, 15)
    assert len(loaded) == 3


def test_one_default_for_both_kinds_of_picture_takes_both(installed: dict[str, LoadedModel]) -> None:
    enlarger = make_model("superres-color-enlarger", "superres", 3)
    installed[enlarger.card.name] = enlarger
    for models in (select("superres"), select("superres", enlarger)):
        assert models.name == "superres-color-enlarger"
        assert models.fitting(1) is models.fitting(3) is enlarger
    with pytest.raises(ModelMismatchError, match="to superres; superres-color-enlarger would fit"):
        select("superres", make_model("other", "deblur", 3))


def test_a_specialist_for_one_scale_serves_grey_and_colour(installed: dict[str, LoadedModel]) -> None:
    general = make_model("superres-color-enlarger", "superres", 3, (2, 4))
    special = make_model("superres-color-enlarger-4", "superres", 3, (4, 4))
    installed |= {model.card.name: model for model in (general, special)}
    models = select("superres")
    assert models.name == "default"
    assert models.note == "default: superres-color-enlarger-4 at 4, else superres-color-enlarger"
    for channels in (1, 3):
        assert models.fitting(channels, 4) is special
        assert models.fitting(channels, 3) is general
        assert select("superres", special).fitting(channels, 4) is special
    assert models.cards(2) == (general.card,)


# Named.


def test_a_model_that_was_named_is_the_only_one(installed: dict[str, LoadedModel]) -> None:
    installed["mine"] = make_model("mine", "deblock", 1)
    models = select("deblock", "mine")
    assert (models.name, models.note, models.cards()) == ("mine", "", (installed["mine"].card,))
    assert models.fitting(1) is installed["mine"]
    assert select("deblock", installed["mine"]).fitting(1) is installed["mine"]
    with pytest.raises(ModelNotFoundError, match="no model is called yours"):
        select("deblock", "yours")


def test_a_model_that_was_named_stays_whatever_the_conditioning(with_specialists: dict[str, LoadedModel]) -> None:
    assert ModelSelection("denoise", WITH_SPECIALISTS, "general-gray").fitting(1, 15).card.name == "general-gray"
    assert ModelSelection("denoise", WITH_SPECIALISTS, "1-about-15").fitting(1, 40).card.name == "1-about-15"


def test_models_of_another_task_or_of_no_use_to_it_are_refused() -> None:
    with pytest.raises(ModelMismatchError, match="mine is a model to denoise, not to demosaic; demosaic-color"):
        select("demosaic", make_model("mine", "denoise", 3))
    with pytest.raises(
        ModelMismatchError, match="mine is for grey images, and to demosaic takes one for colour images"
    ):
        select("demosaic", make_model("mine", "demosaic", 1))
    with pytest.raises(ModelMismatchError, match="mine is for colour images, and to deblock takes one for grey images"):
        select("deblock", make_model("mine", "deblock", 3))


@pytest.mark.parametrize("task", ["deblur", "superres"])
def test_a_prior_is_a_denoiser_of_all_sigmas(with_specialists: dict[str, LoadedModel], task: str) -> None:
    general = with_specialists["general-gray"]
    with_specialists["denoise-gray-groupsc"] = replace(general, card=replace(general.card, name="denoise-gray-groupsc"))
    assert select("deblur").fitting(1).card.name == "denoise-gray-groupsc"
    assert select(task, "general-gray").fitting(1).card.name == "general-gray"
    with pytest.raises(ModelMismatchError, match=r"1-about-15 was made for noise of sigma 13.5 to 16.5 alone"):
        select(task, "1-about-15")
    with pytest.raises(ModelMismatchError, match="has to remove noise from 1 to 50"):
        select(task, make_model("faint", "denoise", 1, (0, 10)))


# To be explained.


def test_a_model_to_be_explained_has_something_to_show(with_specialists: dict[str, LoadedModel]) -> None:
    models = ModelSelection("denoise", WITH_SPECIALISTS, explained=True)
    assert models.fitting(1, 15).card.name == "general-gray"
    assert "about" not in models.note
    with pytest.raises(UsageError, match="no atoms"):
        select("denoise", replace(models.fitting(1, 15), network=tiny_enlarger(1)), explained=True)


@pytest.mark.slow
def test_default_models_that_are_explained_have_a_dictionary() -> None:
    for task in all_tasks():
        if task.wording is not None:
            for channels in task.models.general:
                assert isinstance(select(task.name, explained=True).fitting(channels).network, SparseCoding)


# The models of the checkout.


@pytest.mark.slow
def test_every_model_of_the_checkout_loads_under_its_own_name() -> None:
    for model in shipped_models():
        assert model.path.stem == model.card.name
        assert load_model(find(model.card.name)).card == model.card


def test_specialists_of_the_checkout_are_for_a_part_of_the_general_model_s_range() -> None:
    cards = {model.card.name: model.card for model in shipped_models()}
    for task in all_tasks():
        for channels, names in task.models.specialists.items():
            general = cards[task.models.general[channels]]
            ranges = [cards[name].conditioning_range for name in names]
            for name in names:
                assert (cards[name].task, cards[name].channels) == (general.task, general.channels)
                assert all(general.covers(end) for end in cards[name].conditioning_range)
            assert all(low in (general.conditioning_range[0], high) for low, high in ranges), "lower ends are not told"
            assert ranges == sorted(ranges), "the first that covers is taken"
    denoisers = get_task("denoise").models
    for channels, names in denoisers.specialists.items():
        for name in names:
            assert cards[name].conditioning_range[1] < cards[denoisers.general[channels]].conditioning_range[1]
    for names in get_task("superres").models.specialists.values():
        assert [cards[name].conditioning_range for name in names] == [(4, 4)]


# Files.


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose only shipped model is `tiny`."""
    folder = tmp_path / "package" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(selection, "_PACKAGE", folder.parent)
    monkeypatch.chdir(tmp_path)
    return write_model(folder / "tiny.safetensors")


def test_shipped_models(shipped: Path) -> None:
    assert shipped_models() == (ShippedModel(card(), shipped),)
    assert locate("tiny") == ModelFile(shipped, None)


def test_the_weights_of_a_checkout_lie_beside_the_package(shipped: Path, tmp_path: Path) -> None:
    shipped.unlink()
    shipped.parent.rmdir()
    assert shipped_models() == ()
    (tmp_path / "weights").mkdir()
    path = write_model(tmp_path / "weights" / "tiny.safetensors")
    assert find("tiny") == path


def test_a_damaged_shipped_file_is_named(shipped: Path) -> None:
    shipped.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"tiny\.safetensors: empty"):
        shipped_models()


def test_unknown_names_are_refused_with_those_that_are_known(shipped: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'tinny'; did you mean tiny\? Known are tiny, "):
        find("tinny")
    for name in ("something-else", "", "..", "a\nb", "x" * 500, "nul\0"):
        with pytest.raises(
            ModelNotFoundError, match=r"nown are tiny, the path of a \.safetensors file, and org/name"
        ) as e:
            find(name)
        assert str(e.value).isprintable()


def test_paths_are_found(shipped: Path, tmp_path: Path) -> None:
    local = write_model(Path("mine.safetensors"))
    bare = write_model(Path("bare"))
    assert find("mine.safetensors") == local
    assert find("./bare") == bare
    assert find(bare) == bare
    assert find(str(tmp_path / "mine.safetensors")).samefile(local)


def test_a_name_is_not_taken_for_a_file(shipped: Path) -> None:
    write_model(Path("tiny"))
    assert find("tiny") == shipped


@pytest.mark.parametrize(
    "name",
    [
        "none.safetensors",
        "./none",
        "/none/at/all",
        "a/b/c/d.safetensors",
        "weights/none.safetensors",
        "../x",
        "a/b/",
        "a/" + "x" * 500 + ".safetensors",
        "a/\0",
    ],
)
def test_missing_files_are_told(shipped: Path, name: str) -> None:
    with pytest.raises(
        ModelNotFoundError, match=r": no such file; a model on the Hugging Face hub is written org/name\["
    ):
        find(name)


def test_a_path_object_is_never_a_name(shipped: Path) -> None:
    for path in (Path("tiny"), Path("org/name")):
        with pytest.raises(ModelNotFoundError, match="no such file"):
            find(path)


def test_only_a_regular_file_is_a_model(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="a folder, not a model"):
        find(tmp_path)
    os.mkfifo("fifo.safetensors")
    with pytest.raises(ModelNotFoundError, match="not a regular file"):
        find("fifo.safetensors")


def test_the_sha256_is_checked_wherever_the_file_is(shipped: Path) -> None:
    right = hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert find("tiny", sha256=right) == find(shipped, sha256=right) == shipped
    with pytest.raises(WeightsError, match=f"has sha256 {right}, not the 000"):
        find("tiny", sha256="0" * 64)


def test_a_revision_is_for_the_hub_only(shipped: Path) -> None:
    for name in ("tiny", shipped):
        with pytest.raises(UsageError, match="is not on the hub, so it has no revision 'v1'"):
            find(name, revision="v1")


@pytest.mark.slow
def test_the_hub_client_is_imported_late() -> None:
    code = "import sys, restorekit.zoo as zoo; zoo.shipped_models(); sys.exit('huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
