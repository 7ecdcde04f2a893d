"""`restorekit degrade noise`: seeded, in the file's depth, with the manners of every image command."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image

from restorekit.image import read_picture


def test_noise_has_the_level_asked_for_and_the_seed_s_values(run):
    tifffile.imwrite("img.tif", np.full((100, 100), 2**15, np.uint16))
    for output, seed in (("a.tif", "1"), ("b.tif", "1"), ("c.tif", "2")):
        assert run("degrade", "noise", "img.tif", "--sigma", "25", "--seed", seed, "-o", output).code == 0
    a, b, c = (read_picture(Path(name)).pixels for name in ("a.tif", "b.tif", "c.tif"))
    assert a.dtype == np.uint16
    assert a.std() / 65535 * 255 == pytest.approx(25, rel=0.03)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_integers_are_rounded_and_clipped_and_floats_are_not(run):
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
def test_levels_that_are_none(run, sigma):
    write_image("img.png")
    result = run("degrade", "noise", "img.png", "--sigma", sigma)
    assert result.code == 2
    assert result.errors == [f"restorekit: error: sigma {sigma} is not a noise level; use a number above 0 up to 255"]


def test_a_pipe(run):
    result = run("degrade", "noise", "-", "--sigma", "5", stdin=write_image("img.png").read_bytes())
    assert read_picture(result.stdout).pixels.shape == (12, 14)
