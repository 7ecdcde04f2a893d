from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from zoo_files import card, write_model

from restorekit.errors import ModelNotFoundError, UsageError, WeightsError
from restorekit.models import SparseCoding
from restorekit.zoo import (
    ShippedModel,
    default_model,
    default_models,
    default_of,
    find,
    load_model,
    locate,
    shipped_models,
    specialists,
)
from restorekit.zoo import selection as catalogue

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose only shipped model is `tiny`."""
    folder = tmp_path / "package" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(catalogue, "_PACKAGE", folder.parent)
    monkeypatch.chdir(tmp_path)
    return write_model(folder / "tiny.safetensors")


def test_default_models() -> None:
    assert default_model("denoise", 1) == "denoise-gray-groupsc"
    assert default_model("denoise", 3) == "denoise-color-groupsc"
    assert default_models("denoise") == {1: "denoise-gray-groupsc", 3: "denoise-color-groupsc"}
    assert default_models("demosaic") == {3: default_model("demosaic", 3)}
    assert default_models("deblock") == {1: default_model("deblock", 1)}
    assert default_models("demosaic", explained=True) == {3: "demosaic-color-groupsc"}
    assert default_models("deblock", explained=True) == {1: "deblock-gray-groupsc"}
    with pytest.raises(
        ModelNotFoundError, match="no default model for denoise with 2 channels; there is: denoise with 1"
    ):
        default_model("denoise", 2)


def test_what_a_model_is_the_default_of(tmp_path: Path) -> None:
    assert default_of(find("denoise-gray-groupsc")) == ("denoise", "deblur")
    assert default_of(find("denoise-color-unet")) == ("denoise",)
    assert default_of(find("denoise-color-sc")) == ()
    assert default_of(tmp_path / "denoise-color-unet.safetensors") == ()
    assert default_of(Path(os.path.relpath(find("denoise-color-unet")))) == ("denoise",)
    (tmp_path / "weights").symlink_to(catalogue.weights_folder())
    assert default_of(tmp_path / "weights" / "denoise-color-unet.safetensors") == ("denoise",)
    defaults = {task for model in shipped_models() for task in default_of(model.path)}
    assert defaults == {model.card.task for model in shipped_models()}


def test_every_model_of_the_checkout_loads_under_its_own_name() -> None:
    for model in shipped_models():
        assert model.path.stem == model.card.name
        assert load_model(find(model.card.name)).card == model.card


def test_shipped_models(shipped: Path) -> None:
    assert shipped_models() == (ShippedModel(card(), shipped),)
    assert locate("tiny") == catalogue.ModelFile(shipped, None)


def test_stand_ins_are_those_that_are_installed(shipped: Path) -> None:
    assert specialists("denoise") == {1: {}, 3: {}}
    assert specialists("deblur") == {}
    narrow = card(name="denoise-gray-unet", level_range=(13.5, 16.5))
    path = write_model(shipped.with_name("denoise-gray-unet.safetensors"), narrow)
    assert specialists("denoise") == {1: {"denoise-gray-unet": narrow}, 3: {}}
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"denoise-gray-unet\.safetensors: empty"):
        specialists("denoise")


def test_stand_ins_of_the_checkout_are_for_a_part_of_what_the_default_is_for() -> None:
    for channels, cards in specialists("denoise").items():
        general = load_model(find(default_model("denoise", channels))).card
        for name, special in cards.items():
            assert (special.name, special.task, special.channels) == (name, general.task, channels)
            assert all(general.covers(level) for level in special.level_range)
            assert special.level_range[0] == general.level_range[0], "only upper ends are told"
            assert special.level_range[1] < general.level_range[1]
        widest = [card.level_range for card in cards.values()]
        assert widest == sorted(widest), "the first that covers a level is taken"
    general = load_model(find(default_model("superres", 3))).card
    for cards in specialists("superres").values():
        (special,) = cards.values()
        assert (special.task, special.channels, special.level_range) == ("superres", general.channels, (4, 4))
        assert general.covers(4)


def test_what_is_explained_has_a_dictionary() -> None:
    for task in ("denoise", "demosaic", "deblock"):
        for name in default_models(task, explained=True).values():
            assert isinstance(load_model(find(name)).network, SparseCoding)


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


def test_unknown_names(shipped: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'tinny'; did you mean tiny\? Known are tiny, "):
        find("tinny")
    for name in ("something-else", "", "..", "a\nb", "x" * 500, "nul\0"):
        with pytest.raises(
            ModelNotFoundError, match=r"Known are tiny, the path of a \.safetensors file, and org/name"
        ) as e:
            find(name)
        assert str(e.value).isprintable()


def test_paths(shipped: Path, tmp_path: Path) -> None:
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
def test_missing_files(shipped: Path, name: str) -> None:
    with pytest.raises(
        ModelNotFoundError, match=r": no such file; a model on the Hugging Face hub is written org/name\["
    ):
        find(name)


def test_a_path_object_is_never_a_name(shipped: Path) -> None:
    for path in (Path("tiny"), Path("org/name")):
        with pytest.raises(ModelNotFoundError, match="no such file"):
            find(path)


def test_what_is_no_regular_file(shipped: Path, tmp_path: Path) -> None:
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


def test_the_hub_client_is_imported_late() -> None:
    code = "import sys, restorekit.zoo as zoo; zoo.shipped_models(); sys.exit('huggingface_hub' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
