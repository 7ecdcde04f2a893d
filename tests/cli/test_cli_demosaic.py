"""`restorekit demosaic` and `restorekit degrade mosaic` on real files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image
from skimage import data

from restorekit.image import Metadata, Picture, read_picture, write_picture
from restorekit.zoo import LoadedModel, selection
from tests.mosaic_network import CARD, Interpolator
from tests.raw_files import bayer_dng

PHOTO = data.astronaut()[80:128, 180:240]
MOSAIC = np.random.default_rng(0).integers(600, 14000, (42, 62)).astype(np.uint16)


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """The default model interpolates."""
    monkeypatch.setattr(selection, "find", lambda name, offline: name)
    monkeypatch.setattr(selection, "load_model", lambda name: LoadedModel(CARD, Interpolator(), Path(name)))


def save(name, pixels, alpha=None):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture(pixels, Metadata("png"), alpha), overwrite=False)


@pytest.mark.parametrize("pattern", ["rggb", "BGGR", "grbg", "gbrg"])
@pytest.mark.parametrize(("name", "factor"), [("img.png", 1), ("img.tif", 257)])
def test_there_and_back(run, name, factor, pattern):
    save(name, PHOTO.astype(np.uint8 if factor == 1 else np.uint16) * factor)
    made = run("degrade", "mosaic", name, "--pattern", pattern, "--json")
    assert made.code == 0
    mosaic = json.loads(made.stdout)["output"]
    assert read_picture(Path(mosaic)).is_grey
    done = run("demosaic", mosaic, "--pattern", pattern, "-o", name, "--overwrite", "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["pattern"] == pattern.lower()
    colour = read_picture(Path(name)).pixels
    assert colour.shape == PHOTO.shape
    assert colour.itemsize == (1 if factor == 1 else 2)
    error = np.abs(colour.astype(float) / factor - PHOTO)
    assert error.mean() < 3
    assert (error.min(2) < 1).all()  # what was observed has come through


def test_names_and_what_is_said(run):
    save("img.png", PHOTO)
    made = run("degrade", "mosaic", "img.png", "--pattern", "rggb")
    assert made.stderr.splitlines() == ["img.png -> img_mosaic.png (pattern rggb)"]
    done = run("demosaic", "img_mosaic.png", "--pattern", "rggb")
    assert done.stderr.startswith("img_mosaic.png -> img_mosaic_demosaiced.png (interpolator, pattern rggb, ")


def test_json_line(run):
    save("mosaic.png", PHOTO[..., 1])
    line = json.loads(run("demosaic", "mosaic.png", "--pattern", "grbg", "--json", "--device", "cpu").stdout)
    assert line["status"] == "done"
    assert line["output"] == "mosaic_demosaiced.png"
    assert (line["model"], line["pattern"], line["device"]) == ("interpolator", "grbg", "cpu")


def test_mosaics_do_not_go_into_lossy_files_unasked(run):
    for name in ("a.jpg", "b.webp"):
        write_image(name, shape=(12, 14, 3))
    assert run("degrade", "mosaic", "a.jpg", "b.webp", "--pattern", "rggb", "-o", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (5, 40)])
def test_small_ones(run, shape):
    save("mosaic.png", np.full(shape, 90, np.uint8))
    assert run("demosaic", "mosaic.png", "--pattern", "rggb", "-o", "rgb.png").code == 0
    np.testing.assert_array_equal(read_picture(Path("rgb.png")).pixels, np.full((*shape, 3), 90))


def test_folders_dry_runs_and_resuming(run):
    save("raws/a.png", PHOTO[..., 0])
    save("raws/sub/b.png", PHOTO[..., 1])
    planned = run("demosaic", "raws", "--pattern", "rggb", "--dry-run")
    assert planned.stderr.splitlines()[:1] == ["raws/a.png -> raws_demosaiced/a.png"]
    assert not Path("raws_demosaiced").exists()
    assert run("demosaic", "raws", "--pattern", "rggb").code == 0
    assert read_picture(Path("raws_demosaiced/sub/b.png")).pixels.shape == PHOTO.shape
    resumed = run("demosaic", "raws", "--pattern", "rggb", "--skip-existing")
    assert "0 done, 2 skipped, 0 failed" in resumed.stderr


def test_a_pipe(run):
    save("mosaic.png", PHOTO[..., 0])
    result = run("demosaic", "-", "--pattern", "rggb", stdin=Path("mosaic.png").read_bytes())
    assert result.code == 0
    assert read_picture(result.stdout).pixels.shape == PHOTO.shape


@pytest.mark.parametrize("command", [("demosaic",), ("degrade", "mosaic")])
def test_an_unknown_pattern_is_refused(run, command):
    save("mosaic.png", PHOTO[..., 0])
    result = run(*command, "mosaic.png", "--pattern", "rgbg")
    assert result.code == 2
    message = "--pattern rgbg: use one of rggb, bggr, grbg, gbrg, the colours of the first 2x2 pixels"
    assert result.errors == [f"restorekit: error: {message}"]


def test_an_ordinary_file_needs_a_pattern(run):
    save("mosaic.png", PHOTO[..., 0])
    result = run("demosaic", "mosaic.png")
    assert result.code == 2
    assert result.errors == ["restorekit: error: mosaic.png: name the mosaic's pattern, as in --pattern rggb"]
    result = run("demosaic", "-", "-o", "out.png", stdin=Path("mosaic.png").read_bytes())
    assert result.code == 1
    assert "its pattern is unknown; name it with --pattern" in result.errors[0]


def test_pictures_that_are_not_mosaics_are_refused(run):
    save("colour.png", PHOTO)
    save("alpha.png", PHOTO[..., 0], alpha=PHOTO[..., 1])
    save("good.png", PHOTO[..., 0])
    Path("text.png").write_text("text")
    inputs = ("colour.png", "alpha.png", "text.png", "good.png")
    result = run("demosaic", *inputs, "--pattern", "rggb", "-o", "out/")
    assert result.code == 1
    assert len(result.errors) == 3
    assert "colour.png: a colour picture, but a mosaic has one channel; `restorekit degrade mosaic`" in result.errors[0]
    assert "alpha.png: a picture with an alpha channel" in result.errors[1]
    assert [path.name for path in Path("out").iterdir()] == ["good.png"]
    result = run("degrade", "mosaic", "good.png", "--pattern", "rggb")
    assert result.code == 1
    assert "good.png: a grey picture; a mosaic is made of a colour picture" in result.errors[0]


def test_alpha_and_profile_that_a_mosaic_cannot_have_are_reported(run):
    save("alpha.png", PHOTO, alpha=PHOTO[..., 1])
    result = run("degrade", "mosaic", "alpha.png", "--pattern", "rggb")
    assert "alpha.png: alpha channel left out, as a mosaic has none" in result.stderr
    assert read_picture(Path("alpha_mosaic.png")).alpha is None
    assert run("degrade", "mosaic", "alpha.png", "--pattern", "rggb", "-o", "without.bmp").code == 0
    assert read_picture(Path("without.bmp")).is_grey
    refused = run("degrade", "mosaic", "alpha.png", "--pattern", "rggb", "-o", "mosaic.webp")
    assert (refused.code, "WebP has no pictures of one channel" in refused.stderr) == (2, True)


def test_a_raw_file_becomes_a_tiff_of_16_bits(run):
    pytest.importorskip("rawpy")
    Path("photo.dng").write_bytes(bayer_dng(MOSAIC, "grbg", orientation=6))
    result = run("demosaic", "photo.dng", "--json")
    assert result.code == 0
    line = json.loads(result.stdout)
    assert (line["output"], line["pattern"]) == ("photo_demosaiced.tiff", "grbg")
    picture = read_picture(Path("photo_demosaiced.tiff"))
    assert picture.pixels.dtype == np.uint16
    assert picture.pixels.shape == (62, 42, 3)
    assert b"Kamera" in picture.metadata.exif
    assert run("demosaic", "photo.dng", "-o", "photo.png", "--pattern", "grbg").code == 0
    np.testing.assert_array_equal(read_picture(Path("photo.png")).pixels, picture.pixels)


def test_a_raw_file_s_own_pattern_is_not_contradicted(run):
    pytest.importorskip("rawpy")
    Path("photo.dng").write_bytes(bayer_dng(MOSAIC, "grbg"))
    result = run("demosaic", "photo.dng", "--pattern", "rggb")
    assert result.code == 1
    assert "photo.dng: the file's pattern is grbg, not rggb; leave out --pattern" in result.errors[0]
    result = run("demosaic", "photo.dng", "-o", "photo.jpg")
    assert "JPEG cannot hold uint16 pixels" in result.errors[0]


def test_raw_files_in_folders_and_pipes(run):
    pytest.importorskip("rawpy")
    Path("photos").mkdir()
    raw = bayer_dng(MOSAIC)
    Path("photos/a.NEF").write_bytes(raw)
    save("photos/notes.png", PHOTO)
    result = run("demosaic", "photos")
    assert result.code == 1
    assert [path.name for path in Path("photos_demosaiced").iterdir()] == ["a.tiff"]
    piped = run("demosaic", "-", stdin=raw)
    assert tifffile.imread(Path("photos_demosaiced/a.tiff")).shape == read_picture(piped.stdout).pixels.shape


def test_other_commands_leave_raw_files_alone(run):
    Path("photos").mkdir()
    Path("photos/a.dng").write_bytes(bayer_dng(MOSAIC))
    assert "no pictures in it" in run("degrade", "noise", "photos", "--sigma", "5").errors[0]
    result = run("degrade", "noise", "photos/a.dng", "--sigma", "5")
    assert "a camera's raw file; develop it first, or see restorekit demosaic" in result.errors[0]


def test_without_rawpy_the_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    Path("photo.dng").write_bytes(bayer_dng(MOSAIC))
    result = run("demosaic", "photo.dng")
    assert result.code == 1
    message = "photo.dng: camera RAW files are read by rawpy: pip install 'restorekit[raw]'"
    assert result.errors == [f"restorekit: error: {message}"]
    assert not Path("photo_demosaiced.tiff").exists()


def test_evaluation(run):
    save("data/a.png", PHOTO)
    save("data/grey.png", PHOTO[..., 0])
    options = ("--pattern", "rggb", "--pattern", "gbrg", "--against", "malvar", "--against", "bilinear", "--json", "-")
    result = run("eval", "demosaic", "--data", "data", *options)
    assert result.code == 0
    found = json.loads(result.stdout)
    assert found["task"] == "demosaic"
    assert [skipped["image"] for skipped in found["skipped"]] == ["grey.png"]
    scores = {(entry["method"], entry["pattern"]): entry["psnr"] for entry in found["results"]}
    for pattern in ("rggb", "gbrg"):
        assert scores["malvar", pattern] > scores["bilinear", pattern] + 2
        ours = scores["demosaic-color-unet (balanced)", pattern]
        assert ours == pytest.approx(scores["malvar", pattern], abs=0.01)


def test_an_unknown_baseline_is_refused(run):
    save("data/a.png", PHOTO)
    result = run("eval", "demosaic", "--data", "data", "--pattern", "rggb", "--against", "median")
    assert (result.code, len(result.errors)) == (2, 1)
    assert "no baseline is named 'median'; choose bilinear, malvar, opencv, menon" in result.errors[0]


def test_names_of_pnm_files_say_how_many_channels_they_have(run):
    write_image("photo.ppm", (8, 8, 3))
    assert run("degrade", "mosaic", "photo.ppm", "--pattern", "rggb").code == 0
    assert run("demosaic", "photo_mosaic.pgm", "--pattern", "rggb").code == 0
    assert Path("photo_mosaic.pgm").read_bytes()[:2] == b"P5"
    assert Path("photo_mosaic_demosaiced.ppm").read_bytes()[:2] == b"P6"
