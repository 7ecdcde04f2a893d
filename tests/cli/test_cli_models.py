"""`restorekit models`: list, info, path, fetch, check."""

import json
import os
import pty
import re
from pathlib import Path

import pytest
from cli_runs import REPOSITORY, finish, write_tiny_model

from restorekit.zoo import CardFigure, selection


def rows_of(result):
    """The cells of a table, without its headline and its note."""
    assert result.code == 0, result.stderr
    return [re.split("  +", line.strip()) for line in result.stdout.decode().splitlines()[1:-1]]


@pytest.mark.parametrize("command", [("models",), ("models", "list")])
def test_the_list_says_which_model_restores_which_picture(run, command):
    assert rows_of(run(*command)) == [
        ["denoise", "denoise-color-groupsc *", "colour, sigma 0 to 75 (of 255)"],
        ["denoise", "denoise-gray-groupsc *", "grey, sigma 0 to 75 (of 255)"],
        ["deblur", "deblur-color-unet *", "colour, noise 0 to 12 (of 255)"],
        ["deblur", "denoise-gray-groupsc *", "grey, with a denoiser as the prior"],
        ["superres", "superres-color-enlarger *", "grey and colour, scale 2 to 4"],
    ]


def test_the_list_of_the_shipped_models_fits_80_columns(run, monkeypatch):
    monkeypatch.setattr(selection, "weights_folder", lambda: REPOSITORY / "weights")
    monkeypatch.setenv("COLUMNS", "80")
    result = run("models")
    lines = result.stdout.decode().splitlines()
    assert max(map(len, lines)) <= 80
    shipped = {path.stem for path in (REPOSITORY / "weights").glob("*.safetensors")}
    assert {row[1].removesuffix(" *") for row in rows_of(result)} == shipped
    assert lines[-1].startswith("* the default")


@pytest.mark.slow
def test_the_list_fits_a_terminal_of_80_columns(start):
    controller, terminal = pty.openpty()
    result = finish(start("models", stdout=terminal, env={"COLUMNS": "80", "TERM": "dumb"}))
    os.close(terminal)
    assert result.code == 0
    text = os.read(controller, 65536).decode()
    os.close(controller)
    assert max(map(len, text.splitlines())) <= 80
    assert len([line for line in text.splitlines() if line.startswith("denoise ")]) == 6


def test_list_as_json(run, weights_folder):
    listed = {model["name"]: model for model in json.loads(run("models", "--json").stdout)}
    assert listed["denoise-color-groupsc"]["channels"] == 3
    assert listed["denoise-color-groupsc"]["default_of"] == ["denoise"]
    assert listed["denoise-gray-groupsc"]["path"] == str(weights_folder / "denoise-gray-groupsc.safetensors")


def test_info(run):
    result = run("models", "info", "denoise-gray-groupsc")
    text = result.stdout.decode()
    assert result.code == 0
    for part in ("A tiny model", "sparse-coding", "knots [0 0.1]", "BSD-3-Clause", "denoise, deblur"):
        assert part in text
    assert "BSD68, best: sigma 25 28.57 dB, SSIM 0.8100; sigma 50 25.60 dB" in text
    document = json.loads(run("models", "info", "denoise-gray-groupsc", "--json").stdout)
    assert document["measured"][1] == {
        "dataset": "BSD68",
        "level": 50.0,
        "quality": "best",
        "psnr": 25.6,
        "ssim": None,
    }


def test_ranges_and_figures_are_in_the_words_of_the_task(run):
    figures = {
        "deblock": CardFigure("classic5", 10.0, "best", 29.6),
        "demosaic": CardFigure("Kodak24", 0.0, "best", 42.9),
    }
    for task, conditioning_range in (("deblock", (5, 95)), ("demosaic", (0, 0))):
        path = Path(f"{task}.safetensors")
        write_tiny_model(path, task=task, conditioning_range=conditioning_range, measured=(figures[task],))
    deblock = run("models", "info", "deblock.safetensors").stdout.decode()
    assert "quality factor 5 to 95" in deblock
    assert "classic5, best: quality factor 10 29.60 dB" in deblock
    demosaic = run("models", "info", "demosaic.safetensors").stdout.decode()
    assert "Kodak24, best: 42.90 dB" in demosaic
    assert "range" not in demosaic
    write_tiny_model(Path("deblur.safetensors"), task="deblur", conditioning_range=(0.5, 12))
    assert "noise 0.5 to 12 (of 255)" in run("models", "info", "deblur.safetensors").stdout.decode()


def test_the_list_has_models_of_every_task(run, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "weights_folder", lambda: tmp_path)
    write_tiny_model(tmp_path / "a.safetensors", "a", task="deblock", conditioning_range=(5, 95))
    write_tiny_model(tmp_path / "b.safetensors", "b", 3, task="demosaic", conditioning_range=(0, 0))
    assert rows_of(run("models")) == [
        ["demosaic", "b", "colour"],
        ["deblock", "a", "grey and colour, quality factor 5 to 95"],
    ]


def test_path(run, weights_folder):
    result = run("models", "path", "denoise-gray-groupsc")
    assert result.stdout.decode() == f"{weights_folder / 'denoise-gray-groupsc.safetensors'}\n"
    assert result.stderr == ""


def test_check(run):
    path = write_tiny_model(Path("model.safetensors"))
    assert "tiny: good (model.safetensors)" in run("models", "check", path).stderr
    result = run("models", "check", path, "--sha256", "0" * 64)
    assert result.code == 1
    assert "not the 000" in result.errors[0]
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = run("models", "check", path)
    assert result.code == 1
    assert "damaged" in result.errors[0]
    assert "Traceback" in run("models", "check", path, "--verbose").stderr


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("denoise-grey-groupsc", 2, "did you mean denoise-gray-groupsc?"),
        ("missing.safetensors", 2, "no such file"),
        ("org/name", 2, "offline"),
    ],
)
def test_models_that_are_not_there(run, monkeypatch, name, code, message):
    monkeypatch.setenv("HF_HOME", str(Path("cache").absolute()))
    result = run("models", "path", name, "--offline")
    assert result.code == code
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert message in result.stderr
