"""Specialists: models that are better at some noise levels or scales, and are used there by default."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image, write_tiny_enlarger

import restorekit
from restorekit.tasks.denoise import Denoise
from restorekit.zoo import load_weights, save_weights, selection

ENLARGER = "superres-color-enlarger"


@pytest.fixture
def installed(tmp_path, monkeypatch, weights_folder):
    """The folder of installed models: the tiny ones, grey ones for noise up to 10 and up to 50, and one for scale 4."""
    folder = tmp_path / "installed"
    shutil.copytree(weights_folder, folder)
    for name, level in (("denoise-gray-faint", 10), ("denoise-gray-unet", 50)):
        card, tensors = load_weights(folder / "denoise-gray-groupsc.safetensors")
        card = replace(card, name=name, conditioning_range=(0, level))
        others = {key: (1 + 0.01 * level) * tensor for key, tensor in tensors.items()}
        save_weights(folder / f"{card.name}.safetensors", others, card)
    write_tiny_enlarger(folder / f"{ENLARGER}-4.safetensors", f"{ENLARGER}-4", (4.0, 4.0), blocks=1)
    monkeypatch.setattr(selection, "weights_folder", lambda: folder)
    specialists = {**Denoise.models.specialists, 1: ("denoise-gray-faint", "denoise-gray-unet")}
    monkeypatch.setattr(Denoise, "models", replace(Denoise.models, specialists=specialists))
    return folder


@pytest.mark.parametrize(
    ("sigma", "model"),
    [
        ("0.5", "denoise-gray-faint"),
        ("10", "denoise-gray-faint"),
        ("10.1", "denoise-gray-unet"),
        ("50", "denoise-gray-unet"),
        ("60", "denoise-gray-groupsc"),
    ],
)
def test_the_model_goes_by_sigma_and_is_named(run, installed, sigma, model):
    write_image("img.png")
    result = run("denoise", "img.png", "--sigma", sigma)
    assert result.code == 0
    assert f"({model}, sigma {sigma}, " in result.stderr


def test_the_model_goes_by_the_picture_with_sigma_auto(run, installed):
    for level in (5, 20, 60):
        noise = np.random.default_rng(0).normal(0.5, level / 255, (96, 96)).astype(np.float32)
        tifffile.imwrite(f"{level}.tif", noise)
    write_image("colour.png", (64, 64, 3))
    result = run("denoise", "5.tif", "20.tif", "60.tif", "colour.png", "--sigma", "auto", "--json", "-o", "clean/")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["model"] for line in lines] == [
        "denoise-gray-faint",
        "denoise-gray-unet",
        "denoise-gray-groupsc",
        "denoise-color-groupsc",
    ]


def test_a_model_that_was_named_is_the_one(run, installed):
    write_image("img.png")
    named = run("denoise", "img.png", "--sigma", "15", "--model", "denoise-gray-groupsc")
    assert "(denoise-gray-groupsc, " in named.stderr
    refused = run("denoise", "img.png", "--sigma", "20", "--model", "denoise-gray-faint", "--overwrite")
    assert refused.code == 2
    assert (
        "sigma 20 is not a noise level that denoise-gray-faint was made for; use a number above 0 up to 10"
        in refused.stderr
    )


def test_an_explanation_is_of_the_general_model(run, installed):
    write_image("img.png", (40, 40))
    result = run("denoise", "img.png", "--sigma", "15", "--explain", "why")
    assert result.code == 0
    assert "(denoise-gray-groupsc, " in result.stderr
    page = Path("why/index.html").read_text("utf-8")
    assert "denoise-gray-groupsc" in page
    assert "unet" not in page


def test_evaluations_use_the_same_models_as_denoising(run, installed):
    write_image("data/a.png", (20, 24))
    levels = ("--sigma", "5", "--sigma", "60", "--json", "-")
    measured = run("eval", "denoise", "--data", "data", *levels)
    figures = {(one["method"], one["sigma"]): one["psnr"] for one in json.loads(measured.stdout)["results"]}
    for level, name in ((5, "denoise-gray-faint"), (60, "denoise-gray-groupsc")):
        alone = run("eval", "denoise", "--data", "data", "--sigma", level, "--model", name, "--json", "-")
        assert figures["default (balanced)", level] == json.loads(alone.stdout)["results"][0]["psnr"]
    note = (
        "default: for grey images denoise-gray-faint up to 10, denoise-gray-unet up to 50, else "
        "denoise-gray-groupsc; for colour images denoise-color-groupsc"
    )
    assert json.loads(measured.stdout)["notes"] == [note]
    assert note in measured.stderr.splitlines()


@pytest.mark.parametrize("cut", [0, -1])
@pytest.mark.parametrize("sigma", ["5", "auto"])
def test_a_damaged_specialist_is_named(run, installed, cut, sigma):
    tifffile.imwrite("img.tif", np.random.default_rng(0).normal(0.5, 5 / 255, (96, 96)).astype(np.float32))
    path = installed / "denoise-gray-faint.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    result = run("denoise", "img.tif", "--sigma", sigma)
    assert result.code == 1
    assert len(result.errors) == 1
    assert f"{path}: {'truncated' if cut else 'empty'}" in result.errors[0]
    assert run("denoise", "img.tif", "--sigma", sigma, "--model", "denoise-gray-groupsc").code == 0


def test_a_prior_serves_all_noise_levels(run, installed):
    write_image("img.png", (40, 40))
    deblur = ("deblur", "img.png", "--kernel", "gaussian:1", "--noise", "15", "--iterations", "2", "--json")
    assert json.loads(run(*deblur).stdout)["model"] == "denoise-gray-groupsc"
    mri = ("cs-mri", "img.png", "--simulate", "radial:0.3", "-o", "scan.png")
    for command in ((*deblur, "--overwrite"), ("superres", "img.png", "--scale", "2"), mri):
        result = run(*command, "--model", "denoise-gray-faint")
        assert (result.code, len(result.errors)) == (1, 1)
        assert "denoise-gray-faint was made for noise of sigma 0 to 10 alone" in result.stderr


def test_in_python_as_on_the_command_line(installed):
    noisy = np.random.default_rng(0).integers(0, 256, (16, 17), np.uint8)
    at_5, at_20 = (restorekit.denoise(noisy, level) for level in (5, 20))
    assert np.array_equal(at_5, restorekit.denoise(noisy, 5, model="denoise-gray-faint"))
    assert not np.array_equal(at_5, restorekit.denoise(noisy, 5, model="denoise-gray-unet"))
    assert np.array_equal(at_20, restorekit.denoise(noisy, 20, model="denoise-gray-unet"))


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3)])
def test_the_model_goes_by_the_scale(run, installed, shape):
    write_image("img.png", shape)
    for scale, name in (("2", ENLARGER), ("4", f"{ENLARGER}-4")):
        command = ("superres", "img.png", "--scale", scale, "--json", "-o", "big.png", "--overwrite")
        assert json.loads(run(*command).stdout)["model"] == name
        assert json.loads(run(*command, "--model", ENLARGER).stdout)["model"] == ENLARGER
    assert json.loads(run(*command, "--model", f"{ENLARGER}-4").stdout)["model"] == f"{ENLARGER}-4"
    before = Path("big.png").read_bytes()
    refused = run("superres", "img.png", "--scale", "3", "--model", f"{ENLARGER}-4", "-o", "big.png", "--overwrite")
    assert (refused.code, len(refused.errors)) == (2, 1)
    assert f"scale 3 is not one that {ENLARGER}-4 was made for; use 4" in refused.stderr
    assert Path("big.png").read_bytes() == before


def test_evaluations_use_the_same_models_as_enlarging(run, installed):
    write_image("data/a.png", (24, 24, 3))
    evaluate = ("eval", "superres", "--data", "data", "--json", "-", "--scale", "4")
    measured = json.loads(run(*evaluate, "--scale", "2").stdout)
    assert measured["notes"][0] == f"default: {ENLARGER}-4 at 4, else {ENLARGER}"
    figures = {(one["method"], one["scale"]): one["psnr"] for one in measured["results"]}
    special = run(*evaluate, "--model", f"{ENLARGER}-4")
    assert figures["default (balanced)", 4] == json.loads(special.stdout)["results"][0]["psnr"]
    refused = run(*evaluate, "--scale", "2", "--model", f"{ENLARGER}-4")
    assert (refused.code, len(refused.errors)) == (2, 1)
    assert "use 4" in refused.stderr


@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3)])
@pytest.mark.parametrize("options", [("--noise", "2"), ("--noise", "60"), ("--iterations", "2", "--noise", "auto")])
def test_a_scale_is_no_noise_level(run, installed, shape, options):
    """Where denoisers enlarge, one for all noise levels does."""
    write_image("img.png", shape)
    general = "denoise-gray-groupsc" if len(shape) == 2 else "denoise-color-groupsc"
    for scale in ("2", "4"):
        result = run("superres", "img.png", "--scale", scale, *options, "--json", "-o", "big.png", "--overwrite")
        assert json.loads(result.stdout)["model"] == general


def test_a_damaged_specialist_does_not_harm_a_model_that_was_named(run, installed):
    write_image("img.png", (9, 8))
    (installed / f"{ENLARGER}-4.safetensors").write_bytes(b"")
    assert run("superres", "img.png", "--scale", "2", "--model", ENLARGER).code == 0
    assert run("superres", "img.png", "--scale", "4", "--overwrite").code == 1
