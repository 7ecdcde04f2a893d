"""`restorekit denoise` and `restorekit degrade noise` on real files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image, write_tiny_model
from PIL import Image

from restorekit.image import read_picture


def test_a_picture(run):
    write_image("img.png")
    result = run("denoise", "img.png", "--sigma", "25")
    assert (result.code, result.stdout) == (0, b"")
    assert result.stderr.startswith("img.png -> img_denoised.png (denoise-gray-groupsc, sigma 25, ")
    assert read_picture(Path("img_denoised.png")).pixels.shape == (12, 14)


def test_colour_pictures_get_the_colour_model_and_depth_stays(run):
    write_image("a.png", shape=(12, 14, 3))
    tifffile.imwrite("b.tif", np.full((12, 14), 40000, np.uint16))
    tifffile.imwrite("c.tif", np.full((12, 14), 1.5, np.float32))
    result = run("denoise", "a.png", "b.tif", "c.tif", "--sigma", "8.5", "-o", "clean", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 0
    assert [line["model"] for line in lines] == [
        "denoise-color-groupsc",
        "denoise-gray-groupsc",
        "denoise-gray-groupsc",
    ]
    pictures = [read_picture(Path(line["output"])) for line in lines]
    assert [picture.pixels.dtype.name for picture in pictures] == ["uint8", "uint16", "float32"]
    assert pictures[2].pixels.max() <= 1
    assert "3 done, 0 skipped, 0 failed" in result.stderr


def test_json_lines(run):
    write_image("photos/a.png")
    write_image("photos/b.png")
    Path("photos/c.png").write_text("text")
    write_image("clean/b.png")
    result = run("denoise", "photos", "--sigma", "25", "-o", "clean", "--json", "--skip-existing", "--device", "cpu")
    done, skipped, failed = (json.loads(line) for line in result.stdout.splitlines())
    assert result.code == 1
    assert {key: done[key] for key in ("status", "input", "output", "model", "sigma", "device", "notes")} == {
        "status": "done",
        "input": "photos/a.png",
        "output": "clean/a.png",
        "model": "denoise-gray-groupsc",
        "sigma": 25.0,
        "device": "cpu",
        "notes": [],
    }
    assert done["seconds"] > 0
    assert done["megapixels_per_second"] > 0
    assert done["tiles"] >= 1
    assert skipped == {"status": "skipped", "input": "photos/b.png", "output": "clean/b.png"}
    assert failed["status"] == "failed"
    assert "photos/c.png: not an image" in failed["error"]
    assert result.errors == [f"restorekit: error: {failed['error']}"]


def test_an_estimated_sigma_is_reported(run):
    noise = np.random.default_rng(0).normal(0.5, 0.1, (64, 64)).astype(np.float32)
    tifffile.imwrite("noisy.tif", noise)
    tifffile.imwrite("flat.tif", np.full((64, 64), 0.5, np.float32))
    result = run("denoise", "noisy.tif", "flat.tif", "--sigma", "auto", "--json")
    noisy, flat = (json.loads(line) for line in result.stdout.splitlines())
    assert noisy["sigma"] == pytest.approx(25.5, rel=0.1)
    assert "noisy.tif: noise estimated as sigma 2" in result.stderr
    assert flat["sigma"] == pytest.approx(0.1)
    assert "flat.tif: noise estimated as sigma 0, taken as 0.1" in result.stderr
    assert "taken as 0.1" in flat["notes"][0]


def test_sigma_auto_is_clipped_to_the_model_s_range(run):
    write_tiny_model(Path("narrow.safetensors"), "narrow", conditioning_range=(10.0, 12.0))
    write_image("img.png", shape=(64, 64))
    result = run("denoise", "img.png", "--sigma", "auto", "--model", "narrow.safetensors", "--json")
    assert json.loads(result.stdout)["sigma"] == 12
    assert "taken as 12, the nearest that narrow was made for" in result.stderr


@pytest.mark.parametrize(
    ("sigma", "limit"),
    [("1e6", " up to 75"), ("75.01", " up to 75"), *((text, "") for text in ("0", "-1", "nan", "inf", "strong", ""))],
)
def test_a_sigma_out_of_range_is_refused(run, sigma, limit):
    write_image("img.png")
    result = run("denoise", "img.png", "--sigma", sigma)
    assert result.code == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"use a number above 0{limit} (on the scale 0..255), or auto" in result.stderr
    assert not Path("img_denoised.png").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--device", "cuda:99", "cuda:99"),
        ("--device", "tpu", "tpu"),
        ("--tile", "0", "--tile 0: use auto or a number of pixels from 16 on"),
        ("--tile", "many", "--tile many: use auto"),
        ("--quality", "ultra", "--quality ultra: use one of fast, balanced, best"),
        ("--model", "denoise-grey-groupsc", "did you mean denoise-gray-groupsc?"),
        ("--model", "missing.safetensors", "no such file"),
    ],
)
def test_options_that_no_picture_could_make_sense_of(run, option, value, message):
    write_image("img.png")
    result = run("denoise", "img.png", "--sigma", "25", option, value)
    assert result.code == 2
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "options", [("--overwrite", "--skip-existing"), ("--quiet", "--verbose"), ("--max-pixels", "0"), ("--sigma", "25")]
)
def test_wrong_usage(run, options):
    inputs = () if options[0] == "--sigma" else ("img.png", "--sigma", "25")
    assert run("denoise", *inputs, *options).code == 2


@pytest.mark.parametrize("options", [("--quality", "best"), ("--quality", "fast"), ("--tile", "16"), ("--offline",)])
def test_options_of_the_network(run, options):
    write_image("img.png", shape=(40, 50))
    assert run("denoise", "img.png", "--sigma", "25", *options).code == 0


def test_a_model_of_another_channel_count(run):
    write_image("grey.png")
    write_image("colour.png", shape=(12, 14, 3))
    result = run("denoise", "grey.png", "colour.png", "--sigma", "25", "--model", "denoise-gray-groupsc")
    assert result.code == 1
    assert result.errors == [
        "restorekit: error: colour.png: a colour picture, but denoise-gray-groupsc is a model for grey ones; "
        "denoise-color-groupsc would fit"
    ]
    assert Path("grey_denoised.png").exists()
    assert not Path("colour_denoised.png").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x80\x04\x95pickle", "pickle"),
        ("truncated", "truncated"),
        ("flipped", "damaged"),
    ],
)
def test_weights_that_cannot_be_trusted(run, content, message):
    write_image("img.png")
    path = write_tiny_model(Path("model.safetensors"))
    whole = path.read_bytes()
    if content == "truncated":
        content = whole[:-10]
    elif content == "flipped":
        content = whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:]
    path.write_bytes(content)
    result = run("denoise", "img.png", "--sigma", "25", "--model", "model.safetensors")
    assert result.code == 1
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert message in result.stderr
    assert "model.safetensors" in result.stderr
    assert not Path("img_denoised.png").exists()


def test_existing_outputs_are_kept(run):
    write_image("img.png")
    Path("img_denoised.png").write_bytes(b"precious")
    result = run("denoise", "img.png", "--sigma", "25")
    assert result.code == 1
    assert "img_denoised.png: already exists; pass --overwrite" in result.stderr
    assert Path("img_denoised.png").read_bytes() == b"precious"
    assert run("denoise", "img.png", "--sigma", "25", "--overwrite").code == 0
    assert read_picture(Path("img_denoised.png"))


def test_output_is_input(run):
    before = write_image("img.png").read_bytes()
    result = run("denoise", "img.png", "--sigma", "25", "-o", "img.png")
    assert result.code == 2
    assert "--overwrite" in result.stderr
    assert Path("img.png").read_bytes() == before
    assert run("denoise", "img.png", "--sigma", "25", "-o", "img.png", "--overwrite").code == 0


def test_two_inputs_for_one_output(run):
    write_image("a/img.png")
    write_image("b/img.png")
    result = run("denoise", "a", "b", "--sigma", "25", "-o", "clean")
    assert result.code == 2
    assert "a/img.png and b/img.png would both be written to clean/img.png" in result.stderr
    assert not Path("clean").exists()


def test_an_output_folder_inside_the_input(run):
    write_image("photos/x/img.png")
    for _ in range(2):
        assert run("denoise", "photos", "--sigma", "25", "-o", "photos/clean", "--overwrite").code == 0
    assert [str(path) for path in Path("photos/clean").rglob("*.png")] == ["photos/clean/x/img.png"]


def test_dry_run_writes_nothing(run):
    write_image("photos/a.png")
    write_image("photos/b.png")
    write_image("clean/b.png")
    result = run("denoise", "photos", "--sigma", "25", "-o", "clean", "--dry-run", "--skip-existing", "--json")
    assert result.code == 0
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["planned", "skipped"]
    assert "photos/a.png -> clean/a.png" in result.stderr
    assert not Path("clean/a.png").exists()
    assert run("denoise", "photos", "--sigma", "25", "-o", "clean", "--dry-run").code == 1


def test_quiet_says_errors_only(run):
    write_image("a.png")
    Path("b.png").write_bytes(b"")
    result = run("denoise", "a.png", "b.png", "--sigma", "25", "--quiet")
    assert result.stderr == "restorekit: error: b.png: the file is empty (zero bytes)\n"


def test_verbose_shows_where_an_unexpected_error_arose(run, monkeypatch):
    def broken(*args, **options):
        raise KeyError("a bug")

    write_image("a.png")
    monkeypatch.setattr("restorekit.inference.runner.restore_array", broken)
    result = run("denoise", "a.png", "--sigma", "25")
    assert (result.code, len(result.stderr.splitlines())) == (1, 1)
    assert "unexpected KeyError" in result.stderr
    assert "--verbose shows where" in result.stderr
    assert "Traceback" in run("denoise", "a.png", "--sigma", "25", "--verbose").stderr


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (5, 7), (7, 5, 3), (1, 1, 3)])
def test_small_and_odd_sizes(run, shape):
    write_image("img.png", shape=shape)
    assert run("denoise", "img.png", "--sigma", "25").code == 0
    assert read_picture(Path("img_denoised.png")).pixels.shape == shape


@pytest.mark.parametrize(
    "name", ["ünïcødé 写真.png", "two\nlines.png", "-dash.png", "x" * 251 + ".png", os.fsdecode(b"latin-\xe9.png")]
)
def test_names(run, name):
    write_image("img.png").rename(name)
    result = run("denoise", "--sigma", "25", "-o", "clean/", "--json", "--", name)
    assert result.code == 0
    assert len(result.stderr.splitlines()) == 1
    assert json.loads(result.stdout)["output"] == f"clean/{name}"
    assert Path("clean", name).exists()


def test_a_broken_name_is_escaped_in_an_error(run):
    Path("two\nlines.png").write_bytes(b"")
    result = run("denoise", "two\nlines.png", "--sigma", "25")
    assert result.errors == [r"restorekit: error: 'two\nlines.png': the file is empty (zero bytes)"]


def test_alpha_orientation_and_metadata(run):
    exif = Image.Exif()
    exif[271], exif[274] = "Kamera", 6
    write_image("img.png", shape=(12, 14, 4), exif=exif)
    before = read_picture(Path("img.png"))
    assert run("denoise", "img.png", "--sigma", "25").code == 0
    after = read_picture(Path("img_denoised.png"))
    assert after.pixels.shape == (14, 12, 3)
    assert np.array_equal(after.alpha, before.alpha)
    assert after.metadata.exif == before.metadata.exif
    assert run("denoise", "img.png", "--sigma", "25", "--overwrite", "--strip-metadata").code == 0
    assert not read_picture(Path("img_denoised.png")).metadata.exif


def test_added_noise_has_the_sigma_that_was_named_and_goes_by_the_seed(run):
    tifffile.imwrite("img.tif", np.full((100, 100), 2**15, np.uint16))
    for output, seed in (("a.tif", "1"), ("b.tif", "1"), ("c.tif", "2")):
        assert run("degrade", "noise", "img.tif", "--sigma", "25", "--seed", seed, "-o", output).code == 0
    a, b, c = (read_picture(Path(name)).pixels for name in ("a.tif", "b.tif", "c.tif"))
    assert a.dtype == np.uint16
    assert a.std() / 65535 * 255 == pytest.approx(25, rel=0.03)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_noise_is_rounded_and_clipped_in_integers_alone(run):
    write_image("eight.png", shape=(20, 20, 3))
    tifffile.imwrite("float.tif", np.zeros((50, 50), np.float32))
    result = run("degrade", "noise", "eight.png", "float.tif", "--sigma", "25", "--json")
    eight, floats = (json.loads(line) for line in result.stdout.splitlines())
    assert result.code == 0
    assert eight["notes"] == ["noise rounded and clipped to 8 bits"]
    assert "eight.png: noise rounded and clipped to 8 bits" in result.stderr
    assert floats["notes"] == []
    assert floats["output"] == "float_noisy.tif"
    pixels = read_picture(Path("float_noisy.tif")).pixels
    assert pixels.dtype == np.float32
    assert pixels.min() < -0.1


@pytest.mark.parametrize("sigma", ["0", "-3", "nan", "auto", "256"])
def test_a_sigma_that_cannot_be_added_is_refused(run, sigma):
    write_image("img.png")
    result = run("degrade", "noise", "img.png", "--sigma", sigma)
    assert result.code == 2
    assert result.errors == [f"restorekit: error: sigma {sigma} is not a noise level; use a number above 0 up to 255"]


def test_noise_is_added_through_a_pipe(run):
    result = run("degrade", "noise", "-", "--sigma", "5", stdin=write_image("img.png").read_bytes())
    assert read_picture(result.stdout).pixels.shape == (12, 14)
