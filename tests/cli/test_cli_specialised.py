"""Models for noise of about one level, which stand in for the default ones."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image

import restorekit
from restorekit.zoo import catalogue, load_weights, save_weights


@pytest.fixture
def installed(tmp_path, monkeypatch, weights_folder):
    """The folder of the installed models: the tiny ones, and in grey one for levels about 15 and one about 25."""
    folder = tmp_path / "installed"
    shutil.copytree(weights_folder, folder)
    for level in (15, 25):
        card, tensors = load_weights(folder / "denoise-gray-groupsc.safetensors")
        card = replace(card, name=f"denoise-gray-groupsc-{level}", level_range=(0.9 * level, 1.1 * level))
        others = {name: (1 + 0.01 * level) * tensor for name, tensor in tensors.items()}
        save_weights(folder / f"{card.name}.safetensors", others, card)
    monkeypatch.setattr(catalogue, "weights_folder", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("sigma", "model"),
    [
        ("15", "denoise-gray-groupsc-15"),
        ("13.5", "denoise-gray-groupsc-15"),
        ("16.6", "denoise-gray-groupsc"),
        ("27.5", "denoise-gray-groupsc-25"),
        ("50", "denoise-gray-groupsc"),
    ],
)
def test_the_model_goes_by_sigma_and_is_named(run, installed, sigma, model):
    write_image("img.png")
    result = run("denoise", "img.png", "--sigma", sigma)
    assert result.code == 0
    assert f"({model}, sigma {sigma}, " in result.stderr


def test_the_model_goes_by_the_picture_with_sigma_auto(run, installed):
    for level in (15, 20, 25):
        noise = np.random.default_rng(0).normal(0.5, level / 255, (96, 96)).astype(np.float32)
        tifffile.imwrite(f"{level}.tif", noise)
    write_image("colour.png", (64, 64, 3))
    result = run("denoise", "15.tif", "20.tif", "25.tif", "colour.png", "--sigma", "auto", "--json", "-o", "clean/")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["model"] for line in lines] == [
        "denoise-gray-groupsc-15",
        "denoise-gray-groupsc",
        "denoise-gray-groupsc-25",
        "denoise-color-groupsc",
    ]


def test_a_model_that_was_named_is_the_one(run, installed):
    write_image("img.png")
    assert (
        "(denoise-gray-groupsc, "
        in run("denoise", "img.png", "--sigma", "15", "--model", "denoise-gray-groupsc").stderr
    )
    refused = run("denoise", "img.png", "--sigma", "20", "--model", "denoise-gray-groupsc-15", "--overwrite")
    assert refused.code == 2
    assert (
        "sigma 20 is not a noise level that denoise-gray-groupsc-15 was made for; use a number from 13.5 up to 16.5"
        in (refused.stderr)
    )


def test_a_page_that_explains_is_of_the_model_that_was_used(run, installed):
    write_image("img.png", (40, 40))
    assert run("denoise", "img.png", "--sigma", "15", "--explain", "why").code == 0
    assert "denoise-gray-groupsc-15" in Path("why/index.html").read_text("utf-8")


def test_default_is_measured_as_it_is_used(run, installed):
    write_image("data/a.png", (20, 24))
    levels = ("--sigma", "15", "--sigma", "50", "--json", "-")
    measured = run("eval", "denoise", "--data", "data", *levels)
    names = ("denoise-gray-groupsc", "denoise-gray-groupsc-15")
    figures = {(one["method"], one["sigma"]): one["psnr"] for one in json.loads(measured.stdout)["results"]}
    for level, name in ((15, names[1]), (50, names[0])):
        alone = run("eval", "denoise", "--data", "data", "--sigma", level, "--model", name, "--json", "-")
        assert figures["default (balanced)", level] == json.loads(alone.stdout)["results"][0]["psnr"]
    note = (
        "default: denoise-gray-groupsc for grey images, denoise-color-groupsc for colour images; in their place "
        "denoise-gray-groupsc-15 from 13.5 to 16.5, denoise-gray-groupsc-25 from 22.5 to 27.5"
    )
    assert json.loads(measured.stdout)["notes"] == [note]
    assert note in measured.stderr.splitlines()


@pytest.mark.parametrize("cut", [0, -1])
@pytest.mark.parametrize("sigma", ["15", "auto"])
def test_a_damaged_one_is_named(run, installed, cut, sigma):
    tifffile.imwrite("img.tif", np.random.default_rng(0).normal(0.5, 15 / 255, (96, 96)).astype(np.float32))
    path = installed / "denoise-gray-groupsc-15.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    result = run("denoise", "img.tif", "--sigma", sigma)
    assert result.code == 1
    assert len(result.errors) == 1
    assert f"{path}: {'truncated' if cut else 'empty'}" in result.errors[0]
    assert run("denoise", "img.tif", "--sigma", sigma, "--model", "denoise-gray-groupsc").code == 0


def test_a_prior_is_a_model_for_all_levels(run, installed):
    write_image("img.png", (40, 40))
    deblur = ("deblur", "img.png", "--kernel", "gaussian:1", "--noise", "15", "--iterations", "2", "--json")
    assert json.loads(run(*deblur).stdout)["model"] == "denoise-gray-groupsc"
    mri = ("cs-mri", "img.png", "--simulate", "radial:0.3", "-o", "scan.png")
    for command in ((*deblur, "--overwrite"), ("superres", "img.png", "--scale", "2"), mri):
        result = run(*command, "--model", "denoise-gray-groupsc-15")
        assert (result.code, len(result.errors)) == (1, 1)
        assert "denoise-gray-groupsc-15 was made for noise of sigma 13.5 to 16.5 alone" in result.stderr


def test_in_python_as_on_the_command_line(installed):
    noisy = np.random.default_rng(0).integers(0, 256, (16, 17), np.uint8)
    at_15, at_20 = (restorekit.denoise(noisy, level) for level in (15, 20))
    assert np.array_equal(at_15, restorekit.denoise(noisy, 15, model="denoise-gray-groupsc-15"))
    assert not np.array_equal(at_15, restorekit.denoise(noisy, 15, model="denoise-gray-groupsc"))
    assert np.array_equal(at_20, restorekit.denoise(noisy, 20, model="denoise-gray-groupsc"))
