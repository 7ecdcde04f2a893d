from dataclasses import replace
from pathlib import Path

import pytest

import restorekit
from restorekit.errors import TrainingError, UsageError
from restorekit.models import build
from restorekit.models.kspace import KspaceNetwork
from restorekit.train import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_in_the_package_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    network = build(recipe.architecture, recipe.settings)
    uncovered = (recipe.data.crop - network.patch_size) % max(recipe.data.strides)
    # Patches of what is periodic begin anew on the other side.
    assert uncovered <= recipe.data.margin or isinstance(network, KspaceNetwork)


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).warm_start])
def test_what_a_recipe_begins_from_fits(name: str) -> None:
    recipe = load_recipe(name)
    assert build(recipe.architecture, recipe.settings).load_compatible_weights(
        restorekit.load(recipe.warm_start).network
    )


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="denoise-gray-sc"):
        load_recipe("denoise-grey")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 2", "", "batch"),
        ("batch = 2", "batch = 2\nbatches = 3", "batches"),
        ("seed = 3", "seed = ", "cannot be read"),
        ("[noise]", "[sound]", "noise"),
        ("seed = 3", 'seed = 3\nloss = "cubic"', "loss 'cubic': use one of squared, logarithmic"),
    ],
)
def test_a_recipe_that_is_not_whole_is_refused(recipe_file: Path, old: str, new: str, message: str) -> None:
    recipe_file.write_text(recipe_file.read_text().replace(old, new))
    with pytest.raises(TrainingError, match=message):
        load_recipe(str(recipe_file))


def test_the_hash_follows_the_text(recipe_file: Path) -> None:
    before = load_recipe(str(recipe_file)).sha256
    recipe_file.write_text(recipe_file.read_text().replace("seed = 3", "seed = 4"))
    assert load_recipe(str(recipe_file)).sha256 != before


DERIVED = """
base = "tiny.toml"
name = "tinier"
description = "for tests of bases"

[settings]
atoms = 8

[noise]
low = 10
high = 12
"""


@pytest.fixture
def derived_file(recipe_file: Path) -> Path:
    path = recipe_file.with_name("tinier.toml")
    path.write_text(DERIVED)
    return path


def test_a_recipe_differs_from_its_base_in_the_keys_that_it_has(recipe_file: Path, derived_file: Path) -> None:
    base, derived = load_recipe(str(recipe_file)), load_recipe(str(derived_file))
    assert (derived.name, derived.description) == ("tinier", "for tests of bases")
    assert derived.settings == {**base.settings, "atoms": 8}
    assert derived.degradation == replace(base.degradation, low=10, high=12)
    assert (derived.task, derived.seed, derived.data) == (base.task, base.seed, base.data)
    assert (derived.dictionary, derived.optimiser, derived.safety) == (base.dictionary, base.optimiser, base.safety)


def test_the_hash_follows_the_text_of_the_base_too(recipe_file: Path, derived_file: Path) -> None:
    before = load_recipe(str(derived_file)).sha256
    assert before != load_recipe(str(recipe_file)).sha256
    recipe_file.write_text(recipe_file.read_text().replace("seed = 3", "seed = 4"))
    changed = load_recipe(str(derived_file)).sha256
    assert changed != before
    derived_file.write_text(derived_file.read_text().replace("atoms = 8", "atoms = 9"))
    assert load_recipe(str(derived_file)).sha256 != changed


def test_a_recipe_may_be_based_on_one_of_the_package(derived_file: Path) -> None:
    derived_file.write_text(DERIVED.replace("tiny.toml", "denoise-gray-sc"))
    assert load_recipe(str(derived_file)).data == load_recipe("denoise-gray-sc").data


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"tiny.toml"', '"tinier.toml"', TrainingError, "tinier.toml cannot be read: its base, tinier, has a base"),
        ('"tiny.toml"', "3", TrainingError, "base must be the name or path"),
        ('name = "tinier"', "", TrainingError, "a name of its own"),
        ("low = 10", "lowest = 10", TrainingError, "lowest"),
        ("[noise]", "[jpeg]", TrainingError, "not noise, jpeg"),
        ('"tiny.toml"', '"gone.toml"', UsageError, "no recipe 'gone.toml'"),
    ],
)
def test_a_base_that_does_not_fit_is_refused(
    derived_file: Path, old: str, new: str, error: type[Exception], message: str
) -> None:
    derived_file.write_text(DERIVED.replace(old, new))
    with pytest.raises(error, match=message):
        load_recipe(str(derived_file))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("warmup = 3", 'warmup = 3\nprecision = "int8"', "precision 'int8': use one of float32, bfloat16"),
        ("crop = 17", "crop = 17\nshrink = 0", "shrink 0: use a factor"),
        ("crop = 17", "crop = 17\nshrink = 1.5", "shrink 1.5: use a factor"),
        ("crop = 17", "crop = 17\nenlarge = 0.9", "enlarge 0.9: use a finite factor"),
        (
            "[noise]\nlow = 5\nhigh = 75\npower = 1.5\n",
            "[jpeg]\nlow = 5\nhigh = 75\nshifted = 2\n",
            "shifted 2: use a share",
        ),
        (
            "[noise]\nlow = 5\nhigh = 75\npower = 1.5\n",
            "[jpeg]\nlow = 5\nhigh = 75\nchroma = -1\n",
            "chroma -1: use a share",
        ),
    ],
)
def test_a_precision_or_a_size_that_there_is_not_is_refused(
    recipe_file: Path, old: str, new: str, message: str
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace(old, new))
    with pytest.raises(TrainingError, match=message):
        load_recipe(str(recipe_file))


@pytest.mark.parametrize(("low", "expected"), [("1", (0.0, 75.0)), ("0.5", (0.0, 75.0)), ("13.5", (13.5, 75.0))])
def test_noise_begins_on_the_card_where_it_begins_in_training(
    recipe_file: Path, low: str, expected: tuple[float, float]
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace("low = 5", f"low = {low}"))
    assert load_recipe(str(recipe_file)).degradation.level_range == expected


def test_the_grey_recipe_is_that_for_colour_but_for_its_channels() -> None:
    colour, grey = load_recipe("denoise-color-unet"), load_recipe("denoise-gray-unet")
    assert dict(grey.settings) == {**colour.settings, "channels": 1}
    assert (grey.data, grey.degradation) == (colour.data, colour.degradation)
