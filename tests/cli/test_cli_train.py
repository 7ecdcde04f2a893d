"""`restorekit train`: the command line around the training loop, which has tests of its own."""

from pathlib import Path

import pytest

from restorekit import train
from restorekit.cli.train import state_text
from restorekit.errors import DatasetError


@pytest.fixture
def calls(monkeypatch):
    """The arguments the loop is called with; it reports three steps and comes to the end named by `calls.end`."""

    class Calls(list):
        end = (True, False)

    made = Calls()

    def run(recipe, data, out, *, report, **options):
        made.append((recipe.name, data, out, options))
        report(train.TrainingReport(0, 300, 0.0, 1.0, 0.0, "training on cpu"))
        for step in (99, 100, 300):
            report(train.TrainingReport(step, 300, 28.5, 0.5, 2.0))
        return train.TrainingResult(out / "model.safetensors", 300, 28.4321, *made.end)

    monkeypatch.setattr(train, "run", run)
    return made


def test_what_is_typed_reaches_the_loop(run, calls):
    options = ("--resume", "--max-minutes", "1.5", "--device", "cpu", "--workers", "3")
    result = run("train", "denoise-gray-sc", "--data", "pictures", "--out", "out", *options)
    assert result.code == 0
    expected = {"resume": True, "max_minutes": 1.5, "device": "cpu", "workers": 3}
    assert calls == [("denoise-gray-sc", Path("pictures"), Path("out"), expected)]
    assert result.stdout == b""
    assert result.stderr.splitlines() == [
        "training on cpu",
        "step 100/300  28.50 dB  rate 0.5  2.00 steps/s  0:01:40 left",
        "step 300/300  28.50 dB  rate 0.5  2.00 steps/s  0:00:00 left",
        "finished at step 300: out/model.safetensors (28.432 dB)",
    ]


@pytest.mark.parametrize(("end", "code"), [((False, False), 0), ((False, True), 130)])
def test_a_run_that_stops_says_how_to_go_on(run, calls, end, code):
    calls.end = end
    result = run("train", "denoise-gray-sc", "--data", "pictures", "--out", "out")
    assert result.code == code
    assert "stopped at step 300, go on with --resume: out/model.safetensors" in result.stderr
    assert run("train", "denoise-gray-sc", "--data", "pictures", "--out", "out", "--quiet").stderr == ""


def test_errors_of_the_loop_are_one_line(run, monkeypatch):
    def refuse(*args, **options):
        raise DatasetError("pictures: no images in it")

    monkeypatch.setattr(train, "run", refuse)
    result = run("train", "denoise-gray-sc", "--data", "pictures", "--out", "out")
    assert result.code == 1
    assert result.stderr == "restorekit: error: pictures: no images in it\n"


def test_an_unknown_recipe(run):
    result = run("train", "denoise-grey", "--data", "pictures", "--out", "out")
    assert result.code == 2
    assert "denoise-gray-sc" in result.errors[0]


def test_time_left():
    assert state_text(train.TrainingReport(0, 10_000, 0.0, 0.25, 1.0)).endswith("2:46:40 left")
    assert state_text(train.TrainingReport(0, 10_000, 0.0, 0.25, 0.0)) == "0.00 dB  rate 0.25"
