"""Ends that come too early: signals, a full disk, no permission. Nothing is lost and nothing is left half done."""

import resource
import signal
import time
from pathlib import Path

import pytest
from cli_runs import finish, write_image

from restorekit.image import read_picture

PICTURES = 60


@pytest.fixture
def batch(grey_model):
    for index in range(PICTURES):
        write_image(f"photos/{index:02}.png", shape=(100, 100), seed=index)
    return ("denoise", "photos", "--sigma", "25", "-o", "clean", "--quality", "best", "--model", grey_model)


def wait_for_an_output(process):
    while not list(Path("clean").glob("*.png")):
        assert process.poll() is None
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_a_batch_cleanly(start, batch, number, code, word):
    process = start(*batch)
    wait_for_an_output(process)
    process.send_signal(number)
    result = finish(process)
    assert result.code == code
    assert result.errors == [f"restorekit: error: {word}"]
    written = list(Path("clean").iterdir())
    assert 0 < len(written) < PICTURES
    for path in written:
        assert read_picture(path).pixels.shape == (100, 100)


@pytest.mark.slow
def test_a_killed_batch_is_resumed(start, run, batch):
    process = start(*batch)
    wait_for_an_output(process)
    process.kill()
    finish(process)
    # The worst that a kill can leave: a hidden part of a file. And an older tool may have left half an output.
    Path("clean/.restorekit-00000000.part").write_bytes(b"\x89PNG")
    Path("clean/00.png").write_bytes(Path("clean/00.png").read_bytes()[:100])
    result = run(*batch, "--skip-existing")
    assert result.code == 0
    assert "photos/00.png -> clean/00.png" in result.stderr
    assert "skipped, 0 failed" in result.stderr
    for index in range(PICTURES):
        assert read_picture(Path(f"clean/{index:02}.png"))


@pytest.mark.slow
def test_a_disk_that_is_full_in_mid_write(start, grey_model):
    write_image("img.png", shape=(100, 100))
    process = start(
        "denoise",
        "img.png",
        "--sigma",
        "25",
        "--model",
        grey_model,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    result = finish(process)
    assert result.code == 1
    assert result.errors == ["restorekit: error: img_denoised.png: cannot be written (File too large)"]
    assert list(Path().iterdir()) == [Path("img.png")]


def test_a_read_only_output(run):
    write_image("img.png")
    before = write_image("out.png").read_bytes()
    Path("out.png").chmod(0o444)
    result = run("denoise", "img.png", "--sigma", "25", "-o", "out.png", "--overwrite")
    assert result.code == 1
    assert result.errors == ["restorekit: error: out.png: is write-protected"]
    assert Path("out.png").read_bytes() == before


def test_a_folder_that_may_not_be_written_to(run, monkeypatch):
    write_image("img.png")
    Path("clean").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    result = run("denoise", "img.png", "--sigma", "25", "-o", "clean")
    assert result.code == 1
    message = "clean/img.png: its folder cannot be written to (read-only, or no permission)"
    assert result.errors == [f"restorekit: error: {message}"]
