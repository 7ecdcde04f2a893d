"""The promise of the design: a task is one file, this one, and one line in the registry."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from annotated_types import Gt
from skimage import data
from torch import Tensor
from typer.testing import CliRunner
from typing_extensions import override

import restorekit
from restorekit.batch.files import Restored
from restorekit.batch.run import Operation
from restorekit.cli.app import make_app
from restorekit.errors import ModelMismatchError, UsageError
from restorekit.image import Metadata, Picture, read_picture, write_picture
from restorekit.inference.runner import restore_array
from restorekit.models import SparseCoding, SparseCodingSettings, settings_json
from restorekit.numerics.metrics import psnr
from restorekit.physics.base import Measurement
from restorekit.tasks import TASKS, base, get_task
from restorekit.types import DefaultModels, Option, Units
from restorekit.zoo import ModelCard, read_card, save_weights, selection

# The task: pictures whose values were raised to a power, y = x ** gamma.

ROUNDING = 0.5 / 255
GAMMA = Option("The exponent.", "NUMBER", low=0.1, high=10)


@dataclass(frozen=True)
class GammaOptions:
    """Options of `restorekit degrade gamma`, and of `restorekit degamma`."""

    gamma: Annotated[float, GAMMA]


class Gamma(base.Degradation[GammaOptions]):
    """Raise the values of images to a power: IMG.png becomes IMG_bent.png beside it."""

    name = "gamma"
    participle = "bent"
    Options = GammaOptions

    @override
    def __call__(self, picture: Picture) -> Restored:
        bent = picture.with_float(picture.to_float() ** np.float32(self.options.gamma))
        return Restored(bent, parameters=(("gamma", self.options.gamma),))


@dataclass(frozen=True)
class GammaSection(base.TrainingSection):
    """Values raised to a power between two, the same for a batch, and rounded to 8 bits."""

    low: Annotated[float, Gt(0)]
    high: Annotated[float, Gt(0)]
    balance: float
    validation: tuple[float, ...]

    @property
    @override
    def conditioning_range(self) -> tuple[float, float]:
        return self.low, self.high

    @override
    def draw(self, clean: Tensor, generator: torch.Generator) -> Measurement:
        drawn = float(torch.rand((), generator=generator))
        return self.at(clean, self.low + (self.high - self.low) * drawn, generator)

    @override
    def at(self, clean: Tensor, value: float, generator: torch.Generator) -> Measurement:
        straight = ((255 * clean**value).round() / 255) ** (1 / value)
        error = clean.new_full((len(clean),), ROUNDING)
        return Measurement(straight, straight, error, error)


@dataclass(frozen=True)
class DegammaBenchmarkOptions:
    """Options of `restorekit eval degamma`."""

    gamma: Annotated[list[float], GAMMA]


class DegammaBenchmark(base.Benchmark[float]):
    """Raise the values of clean images to a power, undo it by each method, and compare."""

    axis = "gamma"
    Options = DegammaBenchmarkOptions
    untouched = "bent"
    baselines = {"bent": base.Baseline(lambda _, observed, __: observed)}  # noqa: RUF012
    protocol = "The values of images are raised to a power and rounded to 8 bits."

    def __init__(self, options: DegammaBenchmarkOptions) -> None:
        self.conditions = tuple(options.gamma)

    @override
    def degrade(self, clean: Any, condition: float, seed: int) -> Any:
        return np.rint(255 * clean ** np.float32(condition)) / np.float32(255)

    @override
    def describe(self, condition: float) -> base.Condition:
        return base.Condition(condition, f"gamma {condition:g}")

    @override
    def restore(self, observed: Any, condition: float, run: base.Run) -> Any:
        return straightened(observed, condition, run)[0]


def straightened(observed: Any, gamma: float, run: base.Run) -> Any:
    """Return the estimate, and what it took."""
    model = run.models.fitting(1 if observed.ndim == 2 else 3, gamma)
    straight = observed.clip(0, 1) ** np.float32(1 / gamma)
    return restore_array(straight, ROUNDING, model.patch_network, run.settings)


class Degamma(base.Task[GammaOptions]):
    """Undo that the values of images were raised to a power."""

    name = "degamma"
    participle = "straightened"
    Options = GammaOptions
    models = DefaultModels({3: "degamma-tiny"})
    units = Units("gamma")
    wording = base.Wording("bent", "errors of rounding", "Rounding has left errors of about {error:.2g}.")
    degradations = (Gamma,)
    benchmark = DegammaBenchmark
    training = {"gamma": GammaSection}  # noqa: RUF012

    @override
    def check(self, options: GammaOptions, inputs: object) -> None:
        if not options.gamma > 0:
            raise UsageError(f"gamma {options.gamma}: use a number above 0")

    @override
    def prepare(self, options: GammaOptions, run: base.Run) -> Operation:
        def restore(picture: Picture) -> Restored:
            observed = picture.to_float()
            estimate, report = straightened(observed, options.gamma, run)
            trace = None
            if run.explain:
                model, stride = run.models.fitting(3), run.settings.quality.stride
                straight = observed ** np.float32(1 / options.gamma)
                trace = base.RestorationTrace(model, ROUNDING, stride, straight, estimate, Picture.to_float)
            return Restored(
                picture.with_float(estimate),
                model=run.models.name,
                parameters=(("gamma", options.gamma),),
                report=report,
                trace=trace,
            )

        return restore


# The rest follows.

RECIPE = """
name = "degamma-trained"
task = "degamma"
description = "for tests"
training_data = "a cat"
seed = 1
architecture = "sparse-coding"
warm_start = "degamma-tiny"

[settings]
channels = 3
patch_size = 3
atoms = 27
steps = 1
scales = 1
knots = [0, 10]

[data]
crop = 17
batch = 2
strides = [2]
validation_every = 2
validation_crop = 24

[gamma]
low = 1.5
high = 2.5
balance = 0.0
validation = [2]

[optimiser]
steps = 1
matrix_rate = 1e-4
scalar_rate = 1e-4
warmup = 1
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.9

[safety]
check_every = 1
drop = 1.0
slow_down = 0.8
"""


@pytest.fixture(autouse=True)
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the task, put a model where the shipped ones are, and run in an empty folder."""
    monkeypatch.setitem(TASKS, "degamma", f"{__name__}:Degamma")
    weights = tmp_path / "weights"
    weights.mkdir()
    network = SparseCoding(SparseCodingSettings(3, patch_size=3, atoms=27, steps=1, knots=(0.0, 10 / 255), scales=1))
    network.initialise(torch.eye(27))
    architecture, settings = settings_json(network)
    card = ModelCard(
        name="degamma-tiny",
        architecture=architecture,
        settings=settings,
        task="degamma",
        channels=3,
        conditioning_range=(1.0, 3.0),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        description="for tests",
        recipe="none",
        recipe_sha256="0" * 64,
        training_data="none",
        steps=0,
        package_version="0",
        licence="BSD-3-Clause",
    )
    save_weights(weights / "degamma-tiny.safetensors", network.state_dict(), card)
    monkeypatch.setattr(selection, "weights_folder", lambda: weights)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def cat() -> Any:
    """A clean photograph, also in the file cat.png."""
    pixels = np.ascontiguousarray(data.chelsea()[60:124, 90:170])
    write_picture(Path("cat.png"), Picture(pixels, Metadata("png")), overwrite=False)
    return pixels


@pytest.fixture
def photographs() -> Path:
    """A folder of clean photographs."""
    for index in range(3):
        pixels = np.ascontiguousarray(data.chelsea()[50 * index : 50 * index + 48, 90:150])
        path = Path("photographs", f"{index}.png")
        path.parent.mkdir(exist_ok=True)
        write_picture(path, Picture(pixels, Metadata("png")), overwrite=False)
    return Path("photographs")


def command(*arguments: object) -> Any:
    result = CliRunner().invoke(make_app(), [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def closeness(name: str, clean: Any) -> float:
    return float(psnr(read_picture(Path(name)).to_float(), clean / np.float32(255)))


def test_the_command_line_degrades_and_restores_files(cat: Any) -> None:
    command("degrade", "gamma", "cat.png", "--gamma", 2)
    told = json.loads(command("degamma", "cat_bent.png", "--gamma", 2, "--json").stdout)
    assert closeness("cat_bent.png", cat) < 20
    assert closeness("cat_bent_straightened.png", cat) > 40
    assert (told["model"], told["gamma"], told["output"]) == ("degamma-tiny", 2, "cat_bent_straightened.png")


def test_it_is_explained_in_its_own_words(cat: Any) -> None:
    command("degrade", "gamma", "cat.png", "--gamma", 2)
    command("degamma", "cat_bent.png", "--gamma", 2, "--explain", "page", "--reference", "cat.png")
    page = Path("page", "index.html").read_text("utf-8")
    assert "How cat_bent.png was straightened" in page
    assert "Rounding has left errors of about 0.5." in page


def test_a_device_that_is_not_there_is_wrong_usage(cat: Any) -> None:
    arguments = ["degamma", "cat.png", "--gamma", "2", "--device", "tpu"]
    assert CliRunner().invoke(make_app(), arguments).exit_code == 2
    with pytest.raises(UsageError, match="tpu"):
        restorekit.degamma(cat, 2, device="tpu")


def test_the_command_has_the_help_of_the_task_and_checks_its_options(cat: Any) -> None:
    assert "degamma" in command("--help").output
    assert "Undo that the values of images were raised to a power." in command("degamma", "--help").output
    assert CliRunner().invoke(make_app(), ["degamma", "cat.png"]).exit_code == 2
    assert CliRunner().invoke(make_app(), ["degamma", "cat.png", "--gamma", "0"]).exit_code == 2


def test_it_is_measured_beside_its_baseline(photographs: Path) -> None:
    arguments = ("--gamma", 2, "--gamma", 1.5, "--against", "bent", "--json", "figures.json")
    shown = command("eval", "degamma", "--data", photographs, *arguments).stderr
    assert "degamma-tiny (balanced)" in shown
    found = json.loads(Path("figures.json").read_text())
    assert (found["task"], found["axis"], found["count"]) == ("degamma", "gamma", 3)
    psnrs = {(one["method"], one["gamma"]): one["psnr"] for one in found["results"]}
    for gamma in (1.5, 2):
        assert psnrs["degamma-tiny (balanced)", gamma] > psnrs["bent", gamma] + 15


@pytest.mark.parametrize("arguments", [((2,), {}), ((), {"gamma": 2})])
def test_the_function_in_python_takes_its_options(cat: Any, arguments: Any) -> None:
    values, named = arguments
    bent = np.rint(255 * (cat / 255) ** 2).astype(np.uint8)
    restored = restorekit.degamma(bent, *values, **named, quality="fast", device="cpu")
    assert restored.dtype == np.uint8
    assert psnr(restored / 255, cat / 255) > 40
    tensor = torch.from_numpy(np.moveaxis(bent, 2, 0).copy())
    assert torch.equal(
        restorekit.degamma(tensor, *values, **named, quality="fast"), torch.from_numpy(np.moveaxis(restored, 2, 0))
    )


def test_the_function_in_python_is_known_and_refuses_what_makes_no_sense(cat: Any) -> None:
    assert "degamma" in dir(restorekit)
    function: Callable[..., Any] = restorekit.degamma
    assert function.__name__ == "degamma"
    assert inspect.getdoc(function) == "Undo that the values of images were raised to a power."
    with pytest.raises(UsageError, match="use a number from"):
        function(cat, -1)
    with pytest.raises(ModelMismatchError, match="a grey picture; degamma takes colour ones"):
        function(cat[..., 0], 2)
    with pytest.raises(TypeError):
        function(cat)
    with pytest.raises(TypeError, match="sigma"):
        function(cat, sigma=2)


def test_the_model_is_listed_with_the_units_of_the_task() -> None:
    (listed,) = json.loads(command("models", "list", "--json").stdout)
    assert (listed["task"], listed["default_of"]) == ("degamma", ["degamma"])
    assert "gamma 1 to 3" in command("models", "info", "degamma-tiny").stdout


@pytest.mark.slow
def test_a_trained_model_restores(cat: Any, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To compile a step takes longer than to take it.
    monkeypatch.setattr("shutil.which", lambda name: None)
    Path("recipe.toml").write_text(RECIPE)
    command("train", "recipe.toml", "--data", photographs, "--out", "run", "--device", "cpu")
    weights = Path("run", "degamma-trained.safetensors")
    card = read_card(weights)
    assert (card.task, card.conditioning_range, card.steps) == ("degamma", (1.5, 2.5), 1)
    command("degrade", "gamma", "cat.png", "--gamma", 2)
    told = json.loads(command("degamma", "cat_bent.png", "--gamma", 2, "--model", weights, "--json").stdout)
    assert told["model"] == "degamma-trained"
    assert closeness("cat_bent_straightened.png", cat) > 35
    figures = ("--gamma", 2, "--model", weights, "--json", "figures.json")
    command("eval", "degamma", "--data", photographs, *figures)
    command("models", "record", weights, "--from", "figures.json")
    assert [one.conditioning for one in read_card(weights).measured] == [2]


def test_the_task_is_none_of_the_package_s() -> None:
    assert isinstance(get_task("degamma"), Degamma)
    package = Path(restorekit.__file__).parent
    assert not [path for path in package.rglob("*.py") if "degamma" in path.read_text("utf-8")]
