import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restorekit import train, zoo
from restorekit.errors import DatasetError, TrainingError
from restorekit.train import checkpoint as checkpoints
from restorekit.train import loop
from restorekit.train.checkpoint import CHECKPOINT, read_log
from restorekit.train.loop import RunningMean

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than all the steps of these tests."""
    monkeypatch.setattr(loop.shutil, "which", lambda name: None)


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    found = checkpoints.load_checkpoint(path)
    return {f"{group}/{name}": tensor for group in checkpoints.GROUPS for name, tensor in getattr(found, group).items()}


def test_a_run_leaves_weights_log_and_curves(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    steps = []
    result = train.run(recipe, photographs, tmp_path / "run", report=lambda report: steps.append(report.step))
    assert result.finished
    assert not result.interrupted
    assert steps[-1] == 12
    assert [check.step for check in read_log(tmp_path / "run")] == [4, 8, 12]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    model = zoo.load_model(result.weights)
    assert model.card.name == "tiny"
    assert model.card.recipe_sha256 == recipe.sha256
    assert model.card.parameters == sum(p.numel() for p in model.network.parameters())
    best = max(read_log(tmp_path / "run"), key=lambda check: check.validation_psnr)
    assert model.card.steps == best.step


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(
    recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    recipe = train.load_recipe(str(recipe_file))
    train.run(recipe, photographs, tmp_path / "whole")
    first = train.run(recipe, photographs, tmp_path / "parts", report=_interrupt_at(5))
    assert first.interrupted
    assert first.step == 5
    second = train.run(recipe, photographs, tmp_path / "parts", resume=True)
    assert second.finished
    whole, parts = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        if not name.startswith(("best/", "snapshot/")):  # Taken at the interruption too, if it was better.
            assert torch.equal(tensor, parts[name]), name


@pytest.mark.slow
def test_workers_do_not_change_the_batches(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    train.run(recipe, photographs, tmp_path / "alone")
    train.run(recipe, photographs, tmp_path / "ahead", workers=2)
    alone, ahead = tensors_of(tmp_path / "alone"), tensors_of(tmp_path / "ahead")
    assert alone.keys() == ahead.keys()
    for name, tensor in alone.items():
        assert torch.equal(tensor, ahead[name]), name


def test_an_interrupted_run_ends_its_workers(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    result = train.run(recipe, photographs, tmp_path / "run", workers=2, report=_interrupt_at(5))
    assert (result.step, result.interrupted) == (5, True)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_job_whose_processes_are_all_terminated_leaves_a_checkpoint(
    recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace("steps = 12", "steps = 100000"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CXX": "none", "PATH": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "restorekit", "train", str(recipe_file), "--data", str(photographs)]
    job = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run"), "--workers", "2"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stderr is not None
    while not job.stderr.readline().startswith("step "):
        assert job.poll() is None
    os.killpg(job.pid, signal.SIGTERM)
    told = job.communicate(timeout=60)[1]
    assert job.returncode == 130, told
    assert (tmp_path / "run" / CHECKPOINT).exists()


def _interrupt_at(step: int):
    def report(report: train.TrainingReport) -> None:
        if report.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


@pytest.mark.slow
def test_half_precision_leaves_weights_and_moments_in_single(
    recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    recipe_file.write_text(recipe_file.read_text().replace("warmup = 3", 'warmup = 3\nprecision = "bfloat16"'))
    train.run(train.load_recipe(str(recipe_file)), photographs, tmp_path / "half")
    recipe_file.write_text(recipe_file.read_text().replace("bfloat16", "float32"))
    train.run(train.load_recipe(str(recipe_file)), photographs, tmp_path / "single")
    half, single = tensors_of(tmp_path / "half"), tensors_of(tmp_path / "single")
    assert {name: tensor.dtype for name, tensor in half.items()} == {
        name: tensor.dtype for name, tensor in single.items()
    }
    name = "network/dictionary"
    assert not torch.equal(half[name], single[name])
    torch.testing.assert_close(half[name], single[name], atol=0.02, rtol=0)


@pytest.mark.slow
def test_a_time_limit_ends_a_session_and_the_next_goes_on(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    result = train.run(recipe, photographs, tmp_path / "run", max_minutes=1e-6)
    assert (result.step, result.finished, result.interrupted) == (1, False, False)
    assert train.run(recipe, photographs, tmp_path / "run", resume=True).finished


def test_the_reported_psnr_is_the_mean_over_steps_and_may_be_a_little_old() -> None:
    mean = RunningMean()
    assert (mean.value(60), mean.value()) == (0.0, 0.0)
    mean.add(torch.tensor(30.0))
    assert mean.value(60) == 30
    mean.add(torch.tensor(34.0))
    assert mean.value(60) == 30
    assert mean.value() == mean.value(60) == 32


def test_a_run_is_not_overwritten_nor_mixed_with_another_recipe(
    recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    recipe = train.load_recipe(str(recipe_file))
    train.run(recipe, photographs, tmp_path / "run", max_minutes=1e-6)
    with pytest.raises(TrainingError, match="--resume"):
        train.run(recipe, photographs, tmp_path / "run")
    with pytest.raises(TrainingError, match="another recipe"):
        train.run(replace(recipe, sha256="0" * 64), photographs, tmp_path / "run", resume=True)


def test_a_run_that_cannot_start_leaves_nothing(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    (photographs / "bad.png").write_bytes(b"")
    with pytest.raises(DatasetError):
        train.run(recipe, photographs, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(TrainingError, match="is a file"):
        train.run(recipe, photographs, recipe_file)


def test_a_damaged_checkpoint_is_refused(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    train.run(recipe, photographs, tmp_path / "run", max_minutes=1e-6)
    path = tmp_path / "run" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot be read"):
        train.run(recipe, photographs, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_it_backtracks_and_slows_down_when_training_diverges(
    recipe_file: Path, photographs: Path, tmp_path: Path
) -> None:
    recipe = train.load_recipe(str(recipe_file))
    train.run(recipe, photographs, tmp_path / "run", max_minutes=1e-6)
    reckless = replace(recipe, optimiser=replace(recipe.optimiser, matrix_rate=3.0, warmup=1))
    result = train.run(reckless, photographs, tmp_path / "run", resume=True)
    found = checkpoints.load_checkpoint(tmp_path / "run")
    assert result.finished
    assert found.state.rate_scale == pytest.approx(0.8**3)
    assert all("snapshot" in check.event for check in read_log(tmp_path / "run")[1:])
    for name, tensor in found.network.items():
        assert torch.equal(tensor, found.snapshot[name])


@pytest.mark.slow
def test_warm_start_begins_from_a_model(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    first = train.run(recipe, photographs, tmp_path / "first")
    still = replace(recipe.optimiser, matrix_rate=0.0, scalar_rate=0.0, steps=1)
    warm = replace(recipe, warm_start=str(first.weights), optimiser=still)
    second = train.run(warm, photographs, tmp_path / "second")
    before, after = zoo.load_model(first.weights), zoo.load_model(second.weights)
    for name, tensor in before.network.state_dict().items():
        assert torch.equal(tensor, after.network.state_dict()[name])


@pytest.mark.slow
def test_two_processes_share_a_run(recipe_file: Path, photographs: Path, tmp_path: Path) -> None:
    script = tmp_path / "share.py"
    script.write_text(
        "import sys, pathlib\n"
        "from restorekit import train\n"
        "from restorekit.train import loop\n"
        "loop.shutil.which = lambda name: None\n"
        "recipe, data, out = sys.argv[1:4]\n"
        "train.run(train.load_recipe(recipe), pathlib.Path(data), pathlib.Path(out), device='cpu')\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(recipe_file), str(photographs), str(tmp_path / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [4, 8, 12]
    assert checkpoints.load_checkpoint(tmp_path / "run").state.processes == 2
