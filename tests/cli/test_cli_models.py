"""`restorekit models`: list, info, path, fetch, check."""

import json
from pathlib import Path

import pytest
from cli_runs import write_tiny_model

from restorekit.zoo import CardFigure
from restorekit.zoo import selection as catalogue


@pytest.mark.parametrize("command", [("models",), ("models", "list")])
def test_list(run, command):
    result = run(*command)
    table = result.stdout.decode()
    assert result.code == 0
    assert "denoise-gray-groupsc" in table
    assert "denoise-color-groupsc" in table
    assert "sigma 0 to 75 (of 255)" in table
    assert "BSD68, best: 28.57 at 25, 25.60 at 50" in table
    assert "denoise, deblur" in table


def test_list_as_json(run, weights_folder):
    listed = {model["name"]: model for model in json.loads(run("models", "--json").stdout)}
    assert listed["denoise-color-groupsc"]["channels"] == 3
    assert listed["denoise-color-groupsc"]["default_of"] == ["denoise"]
    assert listed["denoise-gray-groupsc"]["path"] == str(weights_folder / "denoise-gray-groupsc.safetensors")


def test_info(run):
    result = run("models", "info", "denoise-gray-groupsc")
    text = result.stdout.decode()
    assert result.code == 0
    for part in ("A tiny model", "sparse-coding", "knots [0 0.1]", "BSD-3-Clause", "25, best: 28.57 dB, SSIM 0.8100"):
        assert part in text
    document = json.loads(run("models", "info", "denoise-gray-groupsc", "--json").stdout)
    assert document["measured"][1] == {
        "dataset": "BSD68",
        "level": 50.0,
        "quality": "best",
        "psnr": 25.6,
        "ssim": None,
    }


def test_levels_in_the_words_of_the_task(run):
    figures = {
        "deblock": CardFigure("classic5", 10.0, "best", 29.6),
        "demosaic": CardFigure("Kodak24", 0.0, "best", 42.9),
    }
    write_tiny_model(Path("deblock.safetensors"), task="deblock", level_range=(5, 95), measured=(figures["deblock"],))
    write_tiny_model(Path("demosaic.safetensors"), task="demosaic", level_range=(0, 0), measured=(figures["demosaic"],))
    deblock = run("models", "info", "deblock.safetensors").stdout.decode()
    assert "quality factor 5 to 95" in deblock
    assert "classic5, quality factor 10, best: 29.60 dB" in deblock
    demosaic = run("models", "info", "demosaic.safetensors").stdout.decode()
    assert "Kodak24, best: 42.90 dB" in demosaic
    assert "levels" not in demosaic
    write_tiny_model(Path("deblur.safetensors"), task="deblur", level_range=(0.5, 12))
    assert "noise 0.5 to 12 (of 255)" in run("models", "info", "deblur.safetensors").stdout.decode()


def test_the_list_has_models_of_every_task(run, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "weights_folder", lambda: tmp_path)
    measured = (CardFigure("classic5", 10.0, "best", 29.6), CardFigure("classic5", 20.0, "best", 31.8))
    write_tiny_model(tmp_path / "a.safetensors", "a", task="deblock", level_range=(5, 95), measured=measured)
    measured = (CardFigure("Kodak24", 0.0, "best", 42.9),)
    write_tiny_model(tmp_path / "b.safetensors", "b", 3, task="demosaic", level_range=(0, 0), measured=measured)
    table = run("models").stdout.decode()
    assert "quality factor 5 to 95" in table
    assert "classic5, best: 29.60 at 10, 31.80 at 20" in table
    assert "Kodak24, best: 42.90 " in table


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
