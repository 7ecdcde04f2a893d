"""`restorekit eval denoise`: the table, the JSON and the page."""

import json
from pathlib import Path

import pytest
from cli_runs import write_image

from restorekit.cli import output
from restorekit.physics import noise


@pytest.fixture
def data():
    write_image("data/a.png", shape=(20, 24))
    write_image("data/b.png", shape=(20, 24, 3))
    return "data"


def test_table_json_and_report(run, data):
    options = ("--sigma", "15", "--sigma", "25", "--against", "noisy", "--json", "out.json", "--report", "out.html")
    result = run("eval", "denoise", "--data", data, *options)
    assert (result.code, result.stdout) == (0, b"")
    document = json.loads(Path("out.json").read_text("utf-8"))
    figures = {(entry["method"], entry["sigma"]): entry["psnr"] for entry in document["results"]}
    assert set(figures) == {(name, level) for name in ("noisy", "default (balanced)") for level in (15, 25)}
    assert f"{figures['noisy', 25]:.2f} dB" in result.stderr
    assert "sigma 15" in result.stderr
    note = "default: for grey images denoise-gray-groupsc; for colour images denoise-color-groupsc"
    assert note in result.stderr.splitlines()
    assert document["notes"] == [note]
    assert Path("out.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_models_and_qualities_are_repeatable_and_json_goes_to_standard_output(run):
    write_image("data/a.png", shape=(20, 24))
    options = ("--model", "denoise-gray-groupsc", "--quality", "fast", "--quality", "best", "--json", "-", "--quiet")
    result = run("eval", "denoise", "--data", "data", "--sigma", "25", "--seed", "3", *options)
    assert (result.code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert [entry["method"] for entry in document["results"]] == [
        "denoise-gray-groupsc (fast)",
        "denoise-gray-groupsc (best)",
    ]
    assert document["seed"] == 3


def test_blind_methods_are_not_told_the_noise_level(run, monkeypatch):
    """What they take for the noise level is the estimate."""
    write_image("data/a.png", shape=(20, 24))
    monkeypatch.setattr(noise, "estimate_sigma", lambda noisy: 25 / 255)
    options = ("--data", "data", "--model", "denoise-gray-groupsc", "--sigma", "25", "--sigma", "5")
    told, blind = (
        json.loads(run("eval", "denoise", *options, "--json", "-", *more).stdout)["results"]
        for more in ((), ("--blind",))
    )
    assert [entry["method"] for entry in blind] == ["denoise-gray-groupsc (balanced), blind"] * 2
    assert blind[0]["psnr"] == told[0]["psnr"]
    assert blind[1]["psnr"] != told[1]["psnr"]


def test_progress_is_told_without_a_terminal(run, data, monkeypatch):
    monkeypatch.setattr(output, "SECONDS_BETWEEN_LINES", 0)
    options = ("--data", data, "--sigma", "25", "--sigma", "50", "--quality", "fast")
    result = run("eval", "denoise", *options)
    assert result.stderr.splitlines()[:4] == [f"{n} of 4 runs, {'ab'[n > 2]}.png" for n in (1, 2, 3, 4)]
    assert run("eval", "denoise", *options, "--quiet").stderr == ""


def test_what_cannot_be_read_is_named(run, data):
    Path("data/c.png").write_bytes(b"")
    result = run("eval", "denoise", "--data", data, "--sigma", "25")
    assert result.code == 0
    assert "left out c.png: the file is empty" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--sigma", "0"), 2, "sigma 0 is not a noise level"),
        (("--sigma", "80"), 2, "sigma 80 is not a noise level that denoise-gray-groupsc was made for"),
        (("--sigma", "25", "--sigma", "25"), 2, "must be different"),
        (("--sigma", "25", "--against", "median"), 2, "no baseline is named 'median'"),
        (("--sigma", "25", "--quality", "ultra"), 2, "use one of fast, balanced, best"),
        (
            ("--sigma", "25", "--model", "denoise-gray-groupsc"),
            1,
            "png: a colour picture, but denoise-gray-groupsc is a model for grey ones",
        ),
        (("--sigma", "25", "--json", "data/a.png"), 1, "already exists"),
        (("--sigma", "25", "--json", "out", "--report", "out"), 2, "--json and --report cannot share one file"),
        (("--sigma", "25", "--report", "missing/out.html"), 1, "there is no folder"),
        (("--sigma", "25", "--data", "missing"), 1, "missing: no such folder"),
    ],
)
def test_faults(run, data, options, code, message):
    result = run("eval", "denoise", "--data", data, *options)
    assert result.code == code
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert message in result.stderr


def test_existing_figures_are_replaced_knowingly(run, data):
    Path("out.json").write_text("{}")
    options = ("--data", data, "--sigma", "25", "--json", "out.json")
    assert run("eval", "denoise", *options).code == 1
    assert Path("out.json").read_text() == "{}"
    assert run("eval", "denoise", *options, "--overwrite").code == 0
    assert json.loads(Path("out.json").read_text("utf-8"))["task"] == "denoise"
