import json
from pathlib import Path

import pytest

from restorekit.errors import UsageError
from restorekit.evaluate import record_measurements
from restorekit.models import settings_json
from restorekit.zoo import CardFigure, ModelCard, load_weights, save_weights
from tests.tiny import tiny_network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    network = tiny_network()
    architecture, settings = settings_json(network)
    card = ModelCard(
        name="tiny",
        architecture=architecture,
        settings=settings,
        task="denoise",
        channels=1,
        conditioning_range=(0, 75),
        parameters=1,
        description="for tests",
        recipe="none",
        recipe_sha256="0" * 64,
        training_data="none",
        steps=1,
        package_version="0",
        licence="BSD-3-Clause",
        measured=(CardFigure("set12", 25, "best", 1.0), CardFigure("bsd68", 25, "best", 2.0, 0.1)),
    )
    save_weights(tmp_path / "tiny.safetensors", network.state_dict(), card)
    return tmp_path / "tiny.safetensors"


def evaluation(folder: Path, method: str, task: str = "denoise") -> Path:
    path = folder / "out.json"
    results = [
        {"method": "noisy", "sigma": 25, "level": 25, "psnr": 20.0, "ssim": 0.2},
        {"method": method, "sigma": 25, "level": 25, "psnr": 28.76543, "ssim": 0.81234},
        {"method": method, "sigma": 15, "level": 15, "psnr": 31.0, "ssim": 0.9},
    ]
    path.write_text(json.dumps({"task": task, "axis": "sigma", "dataset": "bsd68", "results": results}))
    return path


def test_new_figures_replace_old_ones_of_the_same_kind_and_no_others(weights: Path, tmp_path: Path) -> None:
    before = load_weights(weights)[1]
    record_measurements(weights, evaluation(tmp_path, "tiny (best)"))
    card, after = load_weights(weights)
    assert card.measured == (
        CardFigure("bsd68", 15, "best", 31.0, 0.9),
        CardFigure("bsd68", 25, "best", 28.7654, 0.8123),
        CardFigure("set12", 25, "best", 1.0),
    )
    assert all(after[name].equal(tensor) for name, tensor in before.items())


def test_an_evaluation_of_another_model_is_refused(weights: Path, tmp_path: Path) -> None:
    before = weights.read_bytes()
    with pytest.raises(UsageError, match="--model tiny"):
        record_measurements(weights, evaluation(tmp_path, "other (best)"))
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(UsageError, match="not the JSON of an evaluation"):
        record_measurements(weights, tmp_path / "none.json")
    assert weights.read_bytes() == before


def test_evaluations_of_the_first_version_have_the_axis_alone(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    results = [{"method": "tiny (best)", "sigma": 15, "psnr": 31.0, "ssim": 0.9}]
    path.write_text(json.dumps({"task": "denoise", "axis": "sigma", "dataset": "bsd68", "results": results}))
    assert CardFigure("bsd68", 15, "best", 31.0, 0.9) in record_measurements(weights, path).measured


def test_figures_of_several_patterns_are_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    results = [
        {"method": "tiny (fast)", "pattern": pattern, "level": 0.0, "psnr": 40.0, "ssim": 0.9}
        for pattern in ("rggb", "bggr")
    ]
    path.write_text(json.dumps({"task": "denoise", "axis": "pattern", "dataset": "kodak", "results": results[:1]}))
    assert CardFigure("kodak", 0.0, "fast", 40.0, 0.9) in record_measurements(weights, path).measured
    before = weights.read_bytes()
    path.write_text(json.dumps({"task": "denoise", "axis": "pattern", "dataset": "kodak", "results": results}))
    with pytest.raises(UsageError, match="several patterns, which a card cannot tell apart"):
        record_measurements(weights, path)
    assert weights.read_bytes() == before


def test_figures_of_a_task_that_used_the_model_as_a_prior_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="measures how to deblur, and tiny is a model to denoise"):
        record_measurements(weights, evaluation(tmp_path, "tiny (best)", task="deblur"))
