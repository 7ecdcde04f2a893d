"""Pipes: image bytes and JSON on standard output, all else on standard error."""

import io
import json
import os
import pty
from pathlib import Path

import pytest
from cli_runs import finish, write_image
from PIL import Image

from restorekit.image import read_picture


def test_standard_input_to_standard_output(run):
    stdin = write_image("img.png").read_bytes()
    result = run("denoise", "-", "--sigma", "25", stdin=stdin)
    assert result.code == 0
    assert read_picture(result.stdout).metadata.file_format == "png"
    assert "standard input -> standard output" in result.stderr
    assert sorted(Path().iterdir()) == [Path("img.png")]


def test_a_jpeg_stays_a_jpeg_through_a_pipe(run):
    stdin = write_image("img.jpg", shape=(12, 14, 3)).read_bytes()
    result = run("denoise", "-", "--sigma", "25", stdin=stdin)
    assert Image.open(io.BytesIO(result.stdout)).format == "JPEG"


def test_a_file_to_standard_output_and_a_pipe_to_a_file(run):
    write_image("img.png")
    to_stream = run("denoise", "img.png", "--sigma", "25", "-o", "-", "--quiet")
    from_stream = run("denoise", "-", "--sigma", "25", "-o", "out.png", "--json", stdin=Path("img.png").read_bytes())
    assert (to_stream.code, to_stream.stderr) == (0, "")
    assert Path("out.png").read_bytes() == to_stream.stdout
    assert json.loads(from_stream.stdout)["input"] == "-"


@pytest.mark.parametrize(("length", "message"), [(0, "standard input is empty"), (60, "PNG file is truncated")])
def test_standard_input_cut_off(run, length, message):
    stdin = write_image("img.png").read_bytes()[:length]
    result = run("denoise", "-", "--sigma", "25", stdin=stdin)
    assert (result.code, result.stdout) == (1, b"")
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert message in result.stderr


def test_json_and_an_image_do_not_share_standard_output(run):
    result = run("denoise", "-", "--sigma", "25", "--json")
    assert (result.code, result.stdout) == (2, b"")
    assert "name an output file with -o" in result.stderr


def test_a_terminal_is_no_image(start):
    controller, terminal = pty.openpty()
    result = finish(start("denoise", "-", "--sigma", "25", stdin=terminal))
    assert result.code == 2
    assert result.errors[0].startswith("restorekit: error: standard input is closed or a terminal")
    result = finish(start("denoise", "-", "--sigma", "25", stdout=terminal))
    assert result.code == 2
    assert result.errors[0].startswith("restorekit: error: standard output is closed or a terminal")
    os.close(terminal)
    os.close(controller)


@pytest.mark.slow
def test_a_closed_standard_output_ends_quietly(start, grey_model):
    stdin = write_image("img.png").read_bytes()
    reader, writer = os.pipe()
    os.close(reader)
    result = finish(start("denoise", "-", "--sigma", "25", "--model", grey_model, "--quiet", stdout=writer), stdin)
    os.close(writer)
    assert (result.code, result.stderr) == (1, "")


@pytest.mark.slow
def test_a_full_disk_behind_standard_output(start, grey_model):
    stdin = write_image("img.png").read_bytes()
    with Path("/dev/full").open("wb") as full:
        result = finish(start("denoise", "-", "--sigma", "25", "--model", grey_model, stdout=full), stdin)
    assert result.code == 1
    assert result.errors == ["restorekit: error: standard output: cannot be written (No space left on device)"]
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_no_colours_and_no_bar_where_there_is_no_terminal(start, grey_model):
    write_image("photos/a.png")
    write_image("photos/b.png")
    result = finish(start("denoise", "photos", "--sigma", "25", "--model", grey_model))
    assert result.code == 0
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--version"], ["models"], ["denoise", "img.png", "--sigma", "5", "--json"]])
def test_words_for_a_full_standard_output(start, arguments):
    write_image("img.png")
    with Path("/dev/full").open("wb") as full:
        result = finish(start(*arguments, stdout=full))
    assert result.code == 1
    assert result.errors == ["restorekit: error: input or output: No space left on device"]
    assert "Traceback" not in result.stderr
