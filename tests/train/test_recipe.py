import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import restorekit
from restorekit import train
from restorekit.cli.app import make_app
from restorekit.errors import TrainingError, UsageError
from restorekit.models import build
from restorekit.models.kspace import KspaceNetwork
from restorekit.train import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_in_the_package_is_valid(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    network = build(recipe.architecture, recipe.settings)
    uncovered = (recipe.data.crop - network.patch_size) % max(recipe.data.strides)
    # Patches of periodic images go on at the opposite side.
    assert uncovered <= recipe.data.margin or isinstance(network, KspaceNetwork)


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).warm_start])
def test_the_warm_start_of_every_recipe_fits(name: str) -> None:
    recipe = load_recipe(name)
    assert build(recipe.architecture, recipe.settings).load_compatible_weights(
        restorekit.load(recipe.warm_start).network
    )


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="denoise-gray-sc"):
        load_recipe("denoise-grey")


NOISE = "[noise]\nlow = 5\nhigh = 75\npower = 1.5\n"
JPEG = "[jpeg]\nlow = 5\nhigh = 75\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 2", "", r"tiny\.toml: data\.batch: "),
        ("batch = 2", "batch = 2\nbatches = 3", r"tiny\.toml: data\.batches: "),
        ("batch = 2", "batch = 2.5", r"tiny\.toml: data\.batch: .*integer"),
        ("batch = 2", "batch = 0", r"data\.batch: .*greater than 0"),
        ("seed = 3", "seed = ", "cannot be read"),
        ("seed = 3", 'seed = "3"', r"tiny\.toml: seed: .*integer"),
        ("seed = 3", "seed = 3\nseeds = 4", r"tiny\.toml: seeds: "),
        ("[noise]", "[sound]", "noise.*not none"),
        ("seed = 3", 'seed = 3\nloss = "cubic"', "loss: .*'squared' or 'logarithmic'"),
        ("warmup = 3", 'warmup = 3\nprecision = "int8"', r"optimiser\.precision: .*'float32' or 'bfloat16'"),
        ("strides = [1, 2]", "strides = []", r"data\.strides: "),
        ("crop = 17", "crop = 17\nshrink = 0", r"data\.shrink: .*greater than 0"),
        ("crop = 17", "crop = 17\nshrink = 1.5", r"data\.shrink: .*less than or equal to 1"),
        ("crop = 17", "crop = 17\nenlarge = 0.9", r"data\.enlarge: .*greater than or equal to 1"),
        ("crop = 17", "crop = 17\nenlarge = inf", r"data\.enlarge: .*finite number"),
        ("crop = 17", "crop = 17\nmargin = 9", "data: margin 9 leaves nothing of a crop"),
        ("low = 5", "low = 76", "noise: low 76 is greater than high 75"),
        ("low = 5", "low = -1", r"noise\.low: .*greater than or equal to 0"),
        (NOISE, JPEG + "shifted = 2\n", r"jpeg\.shifted: .*less than or equal to 1"),
        (NOISE, JPEG + "chroma = -1\n", r"jpeg\.chroma: .*greater than or equal to 0"),
        (NOISE, JPEG.replace("5", "0"), r"jpeg\.low: .*greater than or equal to 1"),
        (NOISE, JPEG.replace("75", "5"), "jpeg: high 5 must be greater than low 5"),
    ],
)
def test_a_wrong_value_is_refused_and_its_key_named(recipe_file: Path, old: str, new: str, message: str) -> None:
    recipe_file.write_text(recipe_file.read_text().replace(old, new, 1))
    with pytest.raises(TrainingError, match=message):
        load_recipe(str(recipe_file))


def test_the_hash_depends_on_the_text(recipe_file: Path) -> None:
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


def test_a_recipe_has_all_keys_of_its_base_but_its_own(recipe_file: Path, derived_file: Path) -> None:
    base, derived = load_recipe(str(recipe_file)), load_recipe(str(derived_file))
    assert (derived.name, derived.description) == ("tinier", "for tests of bases")
    assert derived.settings == {**base.settings, "atoms": 8}
    assert derived.degradation == replace(base.degradation, low=10, high=12)
    assert (derived.task, derived.seed, derived.data) == (base.task, base.seed, base.data)
    assert (derived.dictionary, derived.optimiser, derived.safety) == (base.dictionary, base.optimiser, base.safety)


def test_the_hash_depends_on_the_text_of_the_base_too(recipe_file: Path, derived_file: Path) -> None:
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
        ("[noise]", "[jpeg]", TrainingError, "not noise and jpeg"),
        ('"tiny.toml"', '"gone.toml"', UsageError, "no recipe 'gone.toml'"),
    ],
)
def test_a_wrong_base_is_refused(derived_file: Path, old: str, new: str, error: type[Exception], message: str) -> None:
    derived_file.write_text(DERIVED.replace(old, new))
    with pytest.raises(error, match=message):
        load_recipe(str(derived_file))


def test_overrides_take_the_place_of_keys_and_the_last_one_counts(recipe_file: Path) -> None:
    recipe = load_recipe(str(recipe_file))
    changes = (
        "optimiser.steps=7",
        "optimiser.steps = 2_000",
        "optimiser.betas=[0.5, 0.6]",
        'loss="logarithmic"',
        "optimiser.precision=bfloat16",
        "description=two = words",
        "settings.knots=[255]",
        "noise.high=80",
    )
    changed = load_recipe(str(recipe_file), changes)
    optimiser = replace(recipe.optimiser, steps=2000, betas=(0.5, 0.6), precision="bfloat16")
    assert (changed.optimiser, changed.loss, changed.description) == (optimiser, "logarithmic", "two = words")
    assert changed.settings == {**recipe.settings, "knots": [1.0]}
    assert changed.degradation == replace(recipe.degradation, high=80)
    assert (changed.name, changed.data, changed.safety) == (recipe.name, recipe.data, recipe.safety)


def test_overrides_change_the_hash_and_none_leaves_it(recipe_file: Path) -> None:
    cases = ((), ("seed=3",), ("seed=4",), ("seed=4", "optimiser.steps=5"))
    hashes = [load_recipe(str(recipe_file), overrides).sha256 for overrides in cases]
    assert len(set(hashes)) == len(cases)
    assert hashes[0] == load_recipe(str(recipe_file)).sha256 == hashlib.sha256(recipe_file.read_bytes()).hexdigest()


def test_overrides_also_change_keys_of_the_base(derived_file: Path) -> None:
    assert load_recipe(str(derived_file), ["seed=8"]).seed == 8


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("optimiser.stepz=2", TrainingError, r"tiny\.toml: optimiser\.stepz: "),
        ("stepz=2", TrainingError, r"tiny\.toml: stepz: "),
        ("optimizer.steps=2", TrainingError, "no table optimizer to set optimizer.steps in"),
        ("seed.steps=2", TrainingError, "no table seed to set seed.steps in"),
        ("jpeg.low=2", TrainingError, "no table jpeg"),
        ("optimiser.steps=many", TrainingError, r"tiny\.toml: optimiser\.steps: .*integer"),
        ("optimiser.betas=[0.9,", TrainingError, r"tiny\.toml: optimiser\.betas: "),
        ("optimiser.steps", UsageError, "KEY=VALUE, such as optimiser.steps=2000"),
        ("=2", UsageError, "KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_refused_and_its_key_named(
    recipe_file: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_recipe(str(recipe_file), [override])


def test_the_command_line_takes_overrides(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def run(recipe: train.Recipe, *_: object, **options: object) -> train.TrainingResult:
        trained.append(recipe)
        return train.TrainingResult(Path("tiny.safetensors"), 7, 30.0, True, False)

    monkeypatch.setattr(train, "run", run)
    command = ["train", str(recipe_file), "--data", "pictures", "--out", "run"]
    changes = ["optimiser.steps=7", "optimiser.betas=[0.5,0.6]", 'loss="logarithmic"', "optimiser.precision=bfloat16"]
    options = [word for change in changes for word in ("--set", change)]
    assert CliRunner().invoke(make_app(), [*command, *options]).exit_code == 0
    assert CliRunner().invoke(make_app(), command).exit_code == 0
    assert trained == [load_recipe(str(recipe_file), changes), load_recipe(str(recipe_file))]
    assert CliRunner().invoke(make_app(), [*command, "--set", "steps"]).exit_code == 2
    assert len(trained) == 2


@pytest.mark.parametrize(("low", "expected"), [("1", (0.0, 75.0)), ("0.5", (0.0, 75.0)), ("13.5", (13.5, 75.0))])
def test_the_card_tells_the_noise_of_training_and_zero_for_very_faint_noise(
    recipe_file: Path, low: str, expected: tuple[float, float]
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace("low = 5", f"low = {low}"))
    assert load_recipe(str(recipe_file)).degradation.conditioning_range == expected


def test_the_grey_recipe_differs_from_that_for_colour_in_its_channels() -> None:
    colour, grey = load_recipe("denoise-color-unet"), load_recipe("denoise-gray-unet")
    assert dict(grey.settings) == {**colour.settings, "channels": 1}
    assert (grey.data, grey.degradation) == (colour.data, colour.degradation)


def test_a_recipe_that_is_no_text_is_refused(recipe_file: Path) -> None:
    recipe_file.write_bytes(b"\xff\xfe")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_recipe(str(recipe_file))


def test_a_task_that_nobody_knows_is_refused_before_training(recipe_file: Path) -> None:
    with pytest.raises(TrainingError, match="task: 'nix' is not one of denoise, "):
        load_recipe(str(recipe_file), ['task="nix"'])
