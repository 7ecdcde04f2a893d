"""`restorekit deblur`, `superres` and the degradations they undo, on real files."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image
from PIL import Image
from skimage import data

from restorekit.image import read_picture
from restorekit.train import loop as compiling

GAUSSIAN = ("--kernel", "gaussian:1")


def photo(name="photo.png", *, grey=False, size=(37, 45)):
    pixels = data.camera() if grey else data.astronaut()
    Image.fromarray(pixels[20 : 20 + size[0], 180 : 180 + size[1]]).save(name)
    return Path(name)


def pixels(name):
    return read_picture(Path(name)).to_float()


def rms(first, second):
    return float(np.sqrt(np.square(first - second).mean()))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("boundary", ["open", "circular"])
def test_a_blurred_picture(run, grey, boundary):
    photo(grey=grey)
    blurred = run("degrade", "blur", "photo.png", *GAUSSIAN, "--noise", "1", "--boundary", boundary, "-o", "y.png")
    assert blurred.code == 0
    result = run("deblur", "y.png", *GAUSSIAN, "--noise", "1", "--boundary", boundary, "--iterations", "4")
    assert (result.code, result.stdout) == (0, b"")
    assert "y.png -> y_deblurred.png (denoise-" in result.stderr
    assert "noise 1, iterations 4" in result.stderr
    assert pixels("y_deblurred.png").shape == pixels("photo.png").shape
    assert rms(pixels("y_deblurred.png"), pixels("y.png")) > 0.001


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_enlarged_picture_shrinks_to_what_was_given(run, scale):
    photo(size=(12, 24))
    tifffile.imwrite("small.tif", pixels("photo.png"), photometric="rgb")
    result = run("superres", "small.tif", "--scale", str(scale), "-o", "big.tif", "--json")
    assert result.code == 0
    line = json.loads(result.stdout)
    assert (line["scale"], line["noise"]) == (scale, 0)
    assert pixels("big.tif").shape == (12 * scale, 24 * scale, 3)
    assert run("degrade", "downsample", "big.tif", "--scale", str(scale), "-o", "again.tif").code == 0
    assert rms(pixels("again.tif"), pixels("small.tif")) < 0.02


def test_a_downsampled_picture_is_cut_to_a_multiple(run):
    photo(size=(37, 45))
    result = run("degrade", "downsample", "photo.png", "--scale", "4")
    assert "cut to multiples of 4: 44x36" in result.stderr
    assert pixels("photo_small.png").shape == (9, 11, 3)
    write_image("tiny.png", shape=(3, 8))
    assert "leaves nothing" in run("degrade", "downsample", "tiny.png", "--scale", "4").errors[0]


def test_alpha_and_depth(run):
    write_image("a.png", shape=(8, 9, 4))
    tifffile.imwrite("b.tif", np.linspace(0, 65535, 12 * 14).astype(np.uint16).reshape(12, 14))
    options = ("--iterations", "1", "-o", "out")
    assert run("superres", "a.png", "b.tif", "--scale", "2", *options).code == 0
    assert read_picture(Path("out/a.png")).alpha.shape == (16, 18)
    assert read_picture(Path("out/b.tif")).pixels.dtype == np.uint16
    assert run("deblur", "a.png", "b.tif", *GAUSSIAN, *options, "--overwrite").code == 0
    assert np.array_equal(read_picture(Path("out/a.png")).alpha, read_picture(Path("a.png")).alpha)


@pytest.mark.parametrize("command", [("deblur", *GAUSSIAN), ("superres", "--scale", "2")])
def test_folders_pipes_and_resumption(run, command):
    Path("photos").mkdir()
    source = photo("photos/good.png", size=(12, 14))
    Path("photos/empty.png").write_bytes(b"")
    options = (*command, "--iterations", "1")
    result = run(*options, "photos", "-o", "out")
    assert result.code == 1
    assert len(result.errors) == 1
    assert "empty.png" in result.errors[0]
    assert [path.name for path in Path("out").iterdir()] == ["good.png"]
    piped = run(*options, "-", stdin=source.read_bytes())
    assert piped.stdout == Path("out/good.png").read_bytes()
    again = run(*options, "photos/good.png", "-o", "out/good.png", "--skip-existing", "--json")
    assert json.loads(again.stdout)["status"] == "skipped"


def test_estimated_noise_is_reported(run):
    photo()
    result = run("deblur", "photo.png", *GAUSSIAN, "--iterations", "1", "--json")
    line = json.loads(result.stdout)
    assert 0 <= line["noise"] < 20
    assert any("noise estimated as sigma" in note for note in line["notes"])


@pytest.mark.parametrize("name", ["k.png", "k.npy", "k.NPY"])
def test_a_kernel_in_a_file_is_that_kernel(run, name):
    photo()
    kernel = np.array([[0, 50, 0], [0, 100, 0], [0, 50, 250]], np.uint8)
    with Path(name).open("wb") as file:
        Image.fromarray(kernel).save(file, format="png") if name.endswith("png") else np.save(file, kernel)
    assert run("degrade", "blur", "photo.png", "--kernel", name, "-o", "y.png").code == 0
    clean, blurred = pixels("photo.png"), pixels("y.png")
    expected = (50 * clean[2:, 1:-1] + 100 * clean[1:-1, 1:-1] + 50 * clean[:-2, 1:-1] + 250 * clean[:-2, :-2]) / 450
    assert blurred[1:-1, 1:-1] == pytest.approx(expected, abs=0.003)
    assert run("deblur", "y.png", "--kernel", name, "--iterations", "1").code == 0


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.zeros((3, 3)), "sums to 0"),
        (np.array([[1.0, -2.0, 1.0]]), "sums to"),
        (np.ones((4, 3)), "3x4 pixels has no centre"),
        (np.ones((3, 2)), "2x3 pixels has no centre"),
        (np.full((3, 3), np.nan), "NaN"),
        (np.ones(3), "two dimensions"),
        (np.array([["a"]]), "not a .npy file of numbers"),
    ],
)
@pytest.mark.parametrize("command", [("deblur",), ("degrade", "blur")])
def test_arrays_that_cannot_be_kernels_are_refused(run, command, kernel, message):
    photo()
    np.save("k.npy", kernel)
    result = run(*command, "photo.png", "--kernel", "k.npy")
    assert result.code in (1, 2)
    assert "k.npy" in result.errors[0]
    assert message in result.errors[0]
    assert sorted(path.name for path in Path().iterdir()) == ["k.npy", "photo.png"]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("gaussian:0", "above 0"),
        ("gaussian:x", "gaussian:SIGMA"),
        ("gaussian:nan", "gaussian:SIGMA"),
        ("gaussian:1,2", "gaussian:SIGMA"),
        ("motion:15", "motion:LENGTH,ANGLE"),
        ("motion:-3,0", "above 0"),
        ("missing.png", "no such file"),
        ("disc:3", "no such file"),
        ("gaussian:20", "is larger than the picture, 45x37"),
    ],
)
def test_kernels_that_make_no_sense(run, kernel, message):
    photo()
    result = run("deblur", "photo.png", "--kernel", kernel, "--noise", "1")
    assert result.code in (1, 2)
    assert message in result.errors[0]
    assert [path.name for path in Path().iterdir()] == ["photo.png"]


def test_a_coloured_or_broken_kernel_picture(run):
    photo()
    write_image("k.png", shape=(3, 3, 3))
    assert "a kernel is grey" in run("deblur", "photo.png", "--kernel", "k.png").errors[0]
    Path("k.png").write_bytes(b"no picture")
    assert "k.png" in run("deblur", "photo.png", "--kernel", "k.png").errors[0]


@pytest.mark.parametrize(
    "options",
    [
        ("deblur", *GAUSSIAN, "--noise", "-1"),
        ("deblur", *GAUSSIAN, "--noise", "76"),
        ("deblur", *GAUSSIAN, "--noise", "nan"),
        ("deblur", *GAUSSIAN, "--boundary", "mirror"),
        ("deblur", *GAUSSIAN, "--iterations", "0"),
        ("deblur", *GAUSSIAN, "--reference", "photo.png"),
        ("deblur", *GAUSSIAN, "--trajectory", "t.pdf"),
        ("deblur", *GAUSSIAN, "--trajectory", "t.png", "--skip-existing"),
        ("deblur", *GAUSSIAN, "--device", "tpu"),
        ("deblur",),
        ("superres", "--scale", "5"),
        ("superres",),
        ("degrade", "blur", *GAUSSIAN, "--noise", "256"),
        ("degrade", "downsample", "--scale", "1"),
    ],
)
def test_options_that_make_no_sense(run, options):
    photo()
    result = run(*options, "photo.png")
    assert result.code == 2
    assert result.stderr
    assert [path.name for path in Path().iterdir()] == ["photo.png"]


def test_a_trajectory_is_drawn(run):
    photo()
    run("degrade", "blur", "photo.png", *GAUSSIAN, "-o", "y.png")
    options = ("deblur", "y.png", *GAUSSIAN, "--iterations", "2", "--trajectory", "t.png", "--reference", "photo.png")
    assert run(*options).code == 0
    assert read_picture(Path("t.png")).pixels.shape[:2] == (600, 840)
    refused = run(*options, "-o", "other.png")
    assert (refused.code, Path("other.png").exists()) == (1, False)
    write_image("wrong.png", shape=(20, 20))
    wrong = run("deblur", "y.png", *GAUSSIAN, "--trajectory", "t2.png", "--reference", "wrong.png", "--overwrite")
    assert wrong.code == 1
    assert "a reference of 20x20 grey pixels does not fit a result of 45x37 colour pixels" in wrong.errors[0]
    assert not Path("t2.png").exists()


def test_evaluations(run):
    write_image("data/a.png", shape=(25, 26))
    write_image("data/b.png", shape=(25, 26, 3))
    write_image("data/tiny.png", shape=(11, 11))
    against = ("--against", "blurred", "--against", "wiener", "--against", "tv")
    result = run("eval", "deblur", "--data", "data", "--noise", "0", "--noise", "2.55", *against, "--json", "-")
    document = json.loads(result.stdout)
    figures = {(entry["method"], entry["noise"]) for entry in document["results"]}
    names = ("blurred", "wiener", "tv", "default (balanced)")
    assert figures == {(name, noise) for name in names for noise in (0, 2.55)}
    assert document["skipped"][0]["reason"].endswith("smaller than the kernel")
    sizes = ("--scale", "2", "--scale", "3")
    result = run("eval", "superres", "--data", "data", *sizes, "--against", "bicubic", "--json", "-")
    document = json.loads(result.stdout)
    assert {(entry["method"], entry["scale"]) for entry in document["results"]} == {
        (name, scale) for name in ("bicubic", "superres-color-enlarger (balanced)") for scale in (2, 3)
    }


TINY_RECIPE = """
name = "mine"
task = "deblur"
description = "for tests"
training_data = "noise"
seed = 1
architecture = "unrolled-admm"
warm_start = "denoise-color-groupsc"

[settings]
mode = "explicit"
iterations = 2
knots = [1, 10]
dual = false
first = 20
last = 1.5
weight = 0.3
denoiser.architecture = "sparse-coding"
denoiser.settings = { channels = 3, patch_size = 3, atoms = 4, steps = 1, knots = [0, 25.5] }

[data]
crop = 15
batch = 1
strides = [2]
validation_every = 2
validation_crop = 15
margin = 2

[blur]
low = 1
high = 10
power = 1
narrow = 1
wide = 1
longest = 3
balance = 0.4
validation = [2]

[optimiser]
steps = 2
matrix_rate = 1e-3
scalar_rate = 1e-3
warmup = 1
betas = [0.9, 0.99]
epsilon = 1e-8
average_decay = 0.9

[safety]
check_every = 2
drop = 0.2
slow_down = 0.8
"""


def test_denoisers_are_the_default_for_what_the_trained_models_cannot_do(run):
    photo()
    deblur = ("deblur", "photo.png", *GAUSSIAN, "--overwrite")
    assert "(deblur-color-unet, noise 2," in run(*deblur, "--noise", "2").stderr
    assert "(denoise-color-groupsc, noise 13," in run(*deblur, "--noise", "13").stderr
    assert "noise 2, iterations 1" in run(*deblur, "--noise", "2", "--iterations", "1").stderr
    superres = ("superres", "photo.png", "--scale", "2", "--overwrite")
    assert "(superres-color-enlarger, " in run(*superres).stderr
    assert "(denoise-color-groupsc, " in run(*superres, "--noise", "2").stderr


def test_a_model_is_trained_and_deblurs_a_file(run, monkeypatch):
    monkeypatch.setattr(compiling.shutil, "which", lambda name: None)
    for index in range(4):
        write_image(f"clean/{index}.png", (24, 26, 3), seed=index)
    Path("mine.toml").write_text(TINY_RECIPE)
    trained = run("train", "mine.toml", "--data", "clean", "--out", "out", "--device", "cpu")
    assert trained.code == 0
    photo()
    result = run("deblur", "photo.png", *GAUSSIAN, "--noise", "1", "--model", "out/mine.safetensors")
    assert result.code == 0
    assert "photo.png -> photo_deblurred.png (mine, noise 1, iterations 2" in result.stderr
    assert pixels("photo_deblurred.png").shape == pixels("photo.png").shape
    measured = run("eval", "deblur", "--data", "clean", *GAUSSIAN, "--model", "out/mine.safetensors", "--json", "-")
    assert measured.code == 0
    assert b"mine (balanced)" in measured.stdout
    refusals = {
        ("deblur", "photo.png", *GAUSSIAN, "--iterations", "3", "-o", "a.png"): (2, "trained for 2 iterations, not 3"),
        ("deblur", "photo.png", *GAUSSIAN, "--noise", "11", "-o", "a.png"): (2, "use a number from 0 to 10"),
        ("superres", "photo.png", "--scale", "2", "-o", "a.png"): (1, "a model to deblur, not to superres"),
        ("denoise", "photo.png", "--sigma", "5", "-o", "a.png"): (1, "a model to deblur, not to denoise"),
    }
    for arguments, (code, message) in refusals.items():
        refused = run(*arguments, "--model", "out/mine.safetensors")
        assert (refused.code, len(refused.errors)) == (code, 1), refused.stderr
        assert message in refused.errors[0]
    photo("grey.png", grey=True)
    assert (
        "is a model for colour ones" in run("deblur", "grey.png", *GAUSSIAN, "--model", "out/mine.safetensors").stderr
    )
