"""`--explain` of denoise, demosaic and deblock, and `restorekit models info --atoms`, on real files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import REPOSITORY, write_image, write_tiny_model
from PIL import Image
from skimage import data

from restorekit.image import read_picture
from restorekit.types import BayerPattern
from restorekit.zoo import selection
from tests.raw_files import bayer_dng

PHOTO = data.astronaut()[80:121, 180:225]


@pytest.fixture
def other_tasks(surroundings, monkeypatch, tmp_path_factory):
    """Tiny models to demosaic and to deblock in place of the shipped ones."""
    folder = tmp_path_factory.mktemp("weights")
    unmeasured = {"measured": (), "conditioning_range": (0.0, 95.0)}
    for name, channels in (("demosaic-color-groupsc", 3), ("deblock-gray-groupsc", 1)):
        task = name.split("-")[0]
        write_tiny_model(folder / f"{name}.safetensors", name, channels, masked=channels == 3, task=task, **unmeasured)
    monkeypatch.setattr(selection, "weights_folder", lambda: folder)


def explain(run, *arguments):
    return run("denoise", "img.png", "--sigma", "25", "--explain", "out", *arguments)


@pytest.mark.parametrize("shape", [(40, 46), (37, 40, 3)])
def test_a_page_with_pictures(run, shape):
    write_image("img.png", shape)
    write_image("clean.png", shape, seed=1)
    result = explain(run, "--at", "20,11", "--reference", "clean.png", "--json")
    assert result.code == 0
    assert "img.png: explained in out/index.html" in result.stderr
    assert json.loads(result.stdout)["notes"] == ["explained in out/index.html"]
    names = {path.name for path in Path("out").iterdir()}
    assert {"index.html", "noisy.png", "result.png", "clean.png", "step-01.png", "atom-counts.png"} <= names
    assert {"confidence.png", "error.png", "patch.png", "atoms.png", "similar-places.png"} <= names
    page = Path("out/index.html").read_text("utf-8")
    assert "How img.png was denoised" in page
    assert "looks at no other patches" in page
    assert page.count("<section") == page.count("</section>")
    assert not re.search(r"<script|url\(|@import|https?:", page)
    # Every second patch is restored: with 3x3 patches the last of an even number of pixels is not in the window.
    window = np.s_[: shape[0] - 1 + shape[0] % 2, : shape[1] - 1 + shape[1] % 2]
    written = read_picture(Path("img_denoised.png")).pixels
    explained = read_picture(Path("out/step-01.png")).pixels
    inside = np.s_[:-2, :-2]  # What is left out counts at the border.
    np.testing.assert_array_equal(explained[inside], written[window][inside])


def test_a_page_on_a_mosaic(run, other_tasks):
    Image.fromarray(PHOTO).save("photo.png")
    assert run("degrade", "mosaic", "photo.png", "--pattern", "grbg", "-o", "mosaic.png").code == 0
    result = run(
        "demosaic", "mosaic.png", "--pattern", "grbg", "--explain", "out", "--at", "20,11", "--reference", "photo.png"
    )
    assert result.code == 0
    page = Path("out/index.html").read_text("utf-8")
    assert "How mosaic.png was demosaiced" in page
    assert "demosaic-color-groupsc · pattern grbg · 45×41 pixels" in page
    assert page.count(" dB before, ") == 1
    assert "nois" not in page
    observed = read_picture(Path("mosaic.png")).pixels
    for name in ("out/interpolated.png", "mosaic_demosaiced.png"):
        colour = read_picture(Path(name)).pixels
        for row, column in np.ndindex(2, 2):
            channel = BayerPattern.GRBG.channel(row, column)
            shown = colour[row::2, column::2, channel]
            np.testing.assert_array_equal(shown, observed[row : len(colour) : 2, column::2])


def test_a_page_on_a_raw_file_is_in_the_colours_of_its_camera(run, other_tasks):
    pytest.importorskip("rawpy")
    Path("photo.dng").write_bytes(bayer_dng(np.full((30, 42), 20000, np.uint16)))
    Image.fromarray(PHOTO).save("photo.png")
    result = run("demosaic", "photo.dng", "--explain", "out", "--reference", "photo.png")
    assert result.code == 1
    assert "leave out --reference" in result.errors[0]
    assert sorted(path.name for path in Path().iterdir()) == ["photo.dng", "photo.png"]
    assert run("demosaic", "photo.dng", "--explain", "out").code == 0
    assert read_picture(Path("out/result.png")).pixels.shape[2] == 3


def test_a_page_on_a_jpeg_is_about_its_luma(run, other_tasks):
    Image.fromarray(PHOTO).save("photo.png")
    Image.fromarray(PHOTO).save("photo.jpg", quality=10)
    result = run("deblock", "photo.jpg", "--explain", "out", "--reference", "photo.png")
    assert result.code == 0
    page = Path("out/index.html").read_text("utf-8")
    assert "How photo.jpg was deblocked" in page
    assert "deblock-gray-groupsc · quality factor 10 · 45×41 pixels" in page
    assert page.count(" dB before, ") == 1
    assert read_picture(Path("out/compressed.png")).is_grey
    assert not read_picture(Path("photo_deblocked.png")).is_grey


def test_without_a_reference_nothing_is_scored(run):
    write_image("img.png", (40, 46))
    assert explain(run).code == 0
    page = Path("out/index.html").read_text("utf-8")
    assert " dB" not in page
    assert not Path("out/error.png").exists()


def test_folders_are_new_or_empty_or_given_up(run):
    write_image("img.png", (20, 20))
    Path("out").mkdir()
    assert explain(run).code == 0
    before = Path("out/index.html").read_bytes()
    Path("img_denoised.png").unlink()
    result = explain(run, "--at", "3,3")
    assert result.code == 1
    assert "out: a folder with files in it; name a new one, or pass --overwrite" in result.errors[0]
    assert Path("out/index.html").read_bytes() == before
    assert not Path("img_denoised.png").exists()
    assert explain(run, "--at", "3,3", "--overwrite").code == 0
    assert Path("out/index.html").read_bytes() != before


@pytest.mark.parametrize("folder", ["mine", "./mine/../mine"])
def test_a_page_never_takes_the_place_of_the_picture_or_its_reference(run, folder):
    Path("mine").mkdir()
    for name in ("mine/noisy.png", "mine/clean.png", "img.png"):
        write_image(name, (20, 20))
    before = {path: path.read_bytes() for path in Path("mine").iterdir()}
    for picture, *rest in (("mine/noisy.png",), ("img.png", "--reference", "mine/clean.png")):
        result = run(
            "denoise", picture, "--sigma", "25", "--explain", folder, "--overwrite", "-o", "restored.png", *rest
        )
        assert result.code == 1
        assert f"holds {[picture, *rest][-1]}; name a folder of the page's own" in result.errors[0]
        assert {path: path.read_bytes() for path in Path("mine").iterdir()} == before
        assert not Path("restored.png").exists()


def test_a_long_and_narrow_picture(run):
    write_image("img.png", (6, 2600))
    assert explain(run).code == 0
    assert read_picture(Path("out/overview.png")).pixels.shape[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("img.png", "--explain", "out", "--at", "3"), 2, "--at 3: name a pixel"),
        (("img.png", "--explain", "out", "--at", "-3,4"), 2, "--at -3,4: name a pixel"),
        (("img.png", "--explain", "out", "--at", "20,4"), 1, "there is no pixel 20,4 in 20x24; x is up to 19"),
        (("img.png", "--explain", "out", "--reference", "other.png"), 1, "24x20 grey, but the picture 20x24 grey"),
        (("img.png", "--explain", "out", "--reference", "rgb.png"), 1, "20x24 colour, but the picture 20x24 grey"),
        (("img.png", "--explain", "out", "--reference", "none.png"), 1, "none.png: no such file"),
        (("img.png", "other.png", "--explain", "out"), 2, "exactly one"),
        ((".", "--explain", "out"), 2, "exactly one"),
        (("-", "--explain", "out"), 2, "exactly one"),
        (("img.png", "--explain", "out", "--skip-existing"), 2, "--skip-existing"),
        (("img.png", "--at", "3,4"), 2, "--explain DIR"),
        (("img.png", "--reference", "rgb.png"), 2, "--explain DIR"),
        (("img.png", "--explain", "other.png"), 1, "other.png: no folder"),
        (("img.png", "--explain", "out", "-o", "out/result.png"), 1, "out: holds out/result.png"),
        (("img.png", "--explain", "loop"), 1, "loop"),
        (("loop", "--explain", "out"), 1, "loop"),
        (("dot.png", "--explain", "out"), 1, "smaller than a patch"),
    ],
)
def test_faults_leave_nothing_behind(run, arguments, code, message):
    write_image("img.png", (24, 20))
    write_image("other.png", (20, 24))
    write_image("rgb.png", (24, 20, 3))
    write_image("dot.png", (2, 20))
    Path("loop").symlink_to("loop")
    before = sorted(Path().iterdir())
    result = run("denoise", *arguments, "--sigma", "25")
    assert result.code == code
    assert len(result.errors) == 1
    assert message in result.errors[0]
    assert sorted(Path().iterdir()) == before


def test_the_dictionary_is_drawn(run):
    write_tiny_model(Path("tiny.safetensors"), channels=3)
    result = run("models", "info", "tiny.safetensors", "--atoms", "atoms.png")
    assert result.code == 0
    assert "A tiny model" in result.stdout.decode()
    assert "atoms.png: the atoms of tiny" in result.stderr
    picture = read_picture(Path("atoms.png"))
    assert picture.pixels.shape == (900, 2 * 900 + 24, 3)
    again = run("models", "info", "tiny.safetensors", "--atoms", "atoms.png")
    assert again.code == 1
    assert "atoms.png: already exists; pass --overwrite" in again.errors[0]
    assert run("models", "info", "tiny.safetensors", "--atoms", "atoms.png", "--overwrite").code == 0


@pytest.mark.parametrize("name", ["cs-mri-sc", "superres-color-admm"])
def test_a_dictionary_within_a_network_is_drawn(run, name):
    assert run("models", "info", str(REPOSITORY / f"weights/{name}.safetensors"), "--atoms", "atoms.png").code == 0
    assert read_picture(Path("atoms.png")).metadata.file_format == "png"


def test_a_network_without_a_dictionary_says_so(run):
    weights = REPOSITORY / "weights/denoise-gray-unet.safetensors"
    result = run("models", "info", str(weights), "--atoms", "atoms.png")
    assert result.code == 2
    assert "denoise-gray-unet has no dictionary" in result.errors[0]
    assert not Path("atoms.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--atoms", "atoms.txt"), "--atoms atoms.txt: no image format"), (("--overwrite",), "--atoms")],
)
def test_a_dictionary_cannot_be_drawn(run, arguments, message):
    result = run("models", "info", "denoise-gray-groupsc", *arguments)
    assert result.code == 2
    assert message in result.errors[0]
