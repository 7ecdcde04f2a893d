from pathlib import Path

import pytest

from restorekit.errors import TrainingError, UsageError
from restorekit.models import build
from restorekit.train import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_in_the_package_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    network = build(recipe.architecture, recipe.settings)
    uncovered = (recipe.data.crop - network.patch_size) % max(recipe.data.strides)
    assert uncovered <= recipe.data.margin


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
