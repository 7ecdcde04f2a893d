"""The batch loop, with operations that need no network."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.batch.files import PictureFiles, Restored
from restorekit.batch.run import Done, Existing, Failed, Skipped, plan_batch, run_batch
from restorekit.errors import MemoryExhaustedError, OutputError, UnreadableImageError, UnsupportedImageError
from restorekit.image import read_picture


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_image(name, shape=(6, 7), value=100, **options):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path, **options)


def inverted(picture):
    return Restored(replace(picture, pixels=np.iinfo(picture.pixels.dtype).max - picture.pixels), notes=("inverted",))


def unchanged(picture):
    return Restored(picture)


def run(*inputs, output=None, operation=inverted, existing=Existing.KEEP, stdin=b"", stdout=None, **settings):
    kind = PictureFiles(**settings)
    plan = plan_batch(inputs, output, operation="restored", existing=existing, kind=kind)
    stream = io.BytesIO() if stdout is None else stdout
    return list(run_batch(plan, operation, existing, kind, io.BytesIO(stdin), stream))


def test_a_picture_is_restored_and_written_with_its_notes():
    write_image("a.png")
    (outcome,) = run("a.png", output="new/")
    assert isinstance(outcome, Done)
    assert outcome.notes == ("inverted",)
    assert (read_picture(Path("new/a.png")).pixels == 155).all()


def test_a_bad_file_does_not_stop_the_others():
    write_image("photos/a.png")
    Path("photos/b.png").write_bytes(b"")
    write_image("photos/c.png")
    done, failed, also_done = run("photos", output="clean")
    assert isinstance(failed, Failed)
    assert failed.describe() == "photos/b.png: the file is empty (zero bytes)"
    assert isinstance(done, Done)
    assert isinstance(also_done, Done)
    assert sorted(path.name for path in Path("clean").iterdir()) == ["a.png", "c.png"]


@pytest.mark.parametrize("error", [ValueError("a\nbug"), MemoryError()])
def test_an_unexpected_error_is_this_picture_s_alone(error):
    write_image("a.png")
    write_image("b.png")
    calls = []

    def operation(picture):
        calls.append(picture)
        if len(calls) == 1:
            raise error
        return inverted(picture)

    failed, done = run("a.png", "b.png", operation=operation)
    expected = MemoryExhaustedError if isinstance(error, MemoryError) else ValueError
    assert isinstance(failed.error, expected)
    assert "\n" not in failed.describe()
    assert failed.describe().startswith("a.png: ")
    assert isinstance(done, Done)


def test_an_input_deleted_in_mid_batch_fails_alone():
    for name in ("a.png", "b.png", "c.png"):
        write_image(name)

    def operation(picture):
        Path("b.png").unlink(missing_ok=True)
        return inverted(picture)

    outcomes = run("a.png", "b.png", "c.png", output="clean/", operation=operation)
    assert [type(outcome) for outcome in outcomes] == [Done, Failed, Done]
    assert outcomes[1].describe() == "b.png: no such file"


def test_resuming_trusts_only_outputs_that_decode():
    write_image("photos/a.png")
    write_image("photos/b.png")
    write_image("clean/a.png", value=1)
    Path("clean/b.png").write_bytes(Path("photos/b.png").read_bytes()[:40])
    skipped, done = run("photos", output="clean", existing=Existing.SKIP)
    assert isinstance(skipped, Skipped)
    assert isinstance(done, Done)
    assert (read_picture(Path("clean/a.png")).pixels == 1).all()
    assert (read_picture(Path("clean/b.png")).pixels == 155).all()


def test_an_output_that_appears_meanwhile_is_kept():
    write_image("a.png")

    def operation(picture):
        write_image("a_restored.png", value=1)
        return inverted(picture)

    (failed,) = run("a.png", operation=operation)
    assert isinstance(failed.error, OutputError)
    assert (read_picture(Path("a_restored.png")).pixels == 1).all()


def test_a_picture_that_its_suffix_cannot_hold_gets_another_before_the_work():
    pixels = np.full((6, 7, 4), 100, np.uint8)
    Image.fromarray(pixels).save("a.jpg", "png")
    (done,) = run("a.jpg", operation=unchanged)
    assert done.job.target == Path("a_restored.png")
    assert "written as a_restored.png, for JPEG cannot hold the alpha channel" in " ".join(done.notes)
    assert (read_picture(Path("a_restored.png")).alpha == 100).all()
    (skipped,) = run("a.jpg", operation=unchanged, existing=Existing.SKIP)
    assert isinstance(skipped, Skipped)
    (again,) = run("a.jpg", operation=unchanged)
    assert "already exists" in str(again.error)


def test_a_changed_suffix_never_hits_the_output_of_another_input():
    pixels = np.full((6, 7, 4), 100, np.uint8)
    for name in ("a.jpg", "a.bmp"):
        Image.fromarray(pixels).save(name, "png")
    done, failed = run("a.jpg", "a.bmp", operation=unchanged, existing=Existing.REPLACE)
    assert isinstance(done, Done)
    assert "is an input, or another's output" in str(failed.error)


def test_a_changed_suffix_never_hits_an_input():
    pixels = np.full((6, 7, 4), 100, np.uint8)
    Image.fromarray(pixels).save("a.jpg", "png")
    Image.fromarray(pixels).save("a_restored.png")
    failed, done = run("a.jpg", "a_restored.png", operation=unchanged, existing=Existing.REPLACE)
    assert "a_restored.png: is an input" in str(failed.error)
    assert done.job.target == Path("a_restored_restored.png")


def test_a_batch_under_changed_suffixes_can_be_resumed():
    Image.fromarray(np.full((6, 7, 4), 100, np.uint8)).save("a.jpg", "png")
    run("a.jpg", operation=unchanged)
    (skipped,) = run("a.jpg", "a_restored.png", operation=unchanged, existing=Existing.SKIP)
    assert isinstance(skipped, Skipped)
    assert not Path("a_restored_restored.png").exists()


def test_a_picture_beside_an_output_of_its_name_is_no_output():
    for name in ("a.bmp", "a_restored.png"):
        Image.fromarray(np.full((6, 7), 100, np.uint8)).save(name)
    run("a.bmp", operation=unchanged)
    skipped, done = run("a.bmp", "a_restored.png", operation=unchanged, existing=Existing.SKIP)
    assert isinstance(skipped, Skipped)
    assert done.job.target == Path("a_restored_restored.png")


def test_a_name_that_was_given_is_not_changed():
    tifffile.imwrite("a.tif", np.zeros((6, 7), np.uint16))
    calls = []
    (failed,) = run("a.tif", output="b.jpg", operation=calls.append)
    assert isinstance(failed.error, UnsupportedImageError)
    assert failed.describe() == "b.jpg: JPEG cannot hold uint16 pixels; write PNG or TIFF or PNM"
    assert not calls


def test_streams_keep_the_format():
    write_image("a.jpg")
    write_image("a.gif")
    for name, expected in (("a.jpg", "jpeg"), ("a.gif", "png")):
        stdout = io.BytesIO()
        (done,) = run("-", stdin=Path(name).read_bytes(), stdout=stdout)
        assert read_picture(stdout.getvalue()).metadata.file_format == expected
        assert any("written as PNG" in note for note in done.notes) == (expected == "png")


@pytest.mark.parametrize(("length", "message"), [(0, "standard input is empty"), (50, "truncated")])
def test_a_stream_that_is_cut_off_is_refused(length, message):
    write_image("a.png")
    stdout = io.BytesIO()
    (failed,) = run("-", stdin=Path("a.png").read_bytes()[:length], stdout=stdout)
    assert isinstance(failed.error, UnreadableImageError)
    assert failed.describe().startswith("standard input")
    assert message in failed.describe()
    assert stdout.getvalue() == b""


def test_a_closed_pipe_ends_the_batch():
    class Closed(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    write_image("a.png")
    with pytest.raises(BrokenPipeError):
        run("a.png", output="-", stdout=Closed())


def test_an_interrupt_leaves_no_half_picture(monkeypatch):
    write_image("a.png")

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("a.png", output="clean/")
    assert list(Path("clean").iterdir()) == []


def test_an_output_folder_that_cannot_be_made_is_found_out_before_the_work():
    write_image("photos/x/a.png")
    Path("clean").mkdir()
    Path("clean/x").write_bytes(b"in the way")
    calls = []
    (failed,) = run("photos", output="clean", operation=calls.append)
    assert isinstance(failed.error, OutputError)
    assert not calls
    assert Path("clean/x").read_bytes() == b"in the way"


def test_metadata_is_stripped_when_asked():
    exif = Image.Exif()
    exif[271] = "Kamera"
    write_image("a.png", exif=exif)
    run("a.png", output="kept.png")
    run("a.png", output="stripped.png", strip_metadata=True)
    assert read_picture(Path("kept.png")).metadata.exif
    assert not read_picture(Path("stripped.png")).metadata.exif


def test_a_picture_above_the_pixel_limit_is_refused():
    write_image("a.png", shape=(30, 40))
    (failed,) = run("a.png", max_pixels=1000)
    assert "--max-pixels 1200" in str(failed.error)
