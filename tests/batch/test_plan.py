"""Which inputs, which outputs: settled before any work."""

import os
from pathlib import Path

import pytest

from restorekit.batch.files import PictureFiles
from restorekit.batch.run import Existing, Job, plan_batch
from restorekit.errors import OutputError, UsageError


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


PICTURES = PictureFiles()


def plan(*inputs, output=None, existing=Existing.KEEP, kind=PICTURES):
    return plan_batch(inputs, output, operation="denoised", existing=existing, kind=kind)


def pairs(result):
    return {str(job.source): str(job.target) for job in result.jobs}


def test_output_goes_beside_the_input():
    touch("a/img.png")
    assert pairs(plan("a/img.png")) == {"a/img.png": "a/img_denoised.png"}


def test_formats_that_are_written_as_others_change_their_suffix():
    touch("photos/a.JPG", "photos/x/b.jpeg", "c.png", "d.gif")
    planned = plan("photos", "c.png", "d.gif", output="out/", kind=PictureFiles({"jpeg": "png", "gif": "jpeg"}))
    assert set(pairs(planned).values()) == {"out/a.png", "out/x/b.png", "out/c.png", "out/d.jpg"}
    assert plan("photos/a.JPG", output="b.jpg", kind=PictureFiles({"jpeg": "png"})).jobs[0].target == Path("b.jpg")
    touch("photos/a.png")
    with pytest.raises(UsageError, match=r"a\.JPG and photos/a\.png would both be written to"):
        plan("photos", kind=PictureFiles({"jpeg": "png"}))


def test_several_inputs_without_output_go_beside_themselves():
    touch("a.png", "a.jpg")
    assert pairs(plan("a.png", "a.jpg")) == {"a.png": "a_denoised.png", "a.jpg": "a_denoised.jpg"}


def test_one_input_and_an_output_file():
    touch("a.png")
    assert plan("a.png", output="b.tif").jobs == (Job(Path("a.png"), Path("b.tif"), named=True),)


@pytest.mark.parametrize("output", ["clean", "new/"])
def test_an_output_folder_takes_one_input(output):
    touch("a.png")
    Path("clean").mkdir()
    assert pairs(plan("a.png", output=output)) == {"a.png": f"{output.strip('/')}/a.png"}


def test_several_inputs_go_to_an_output_folder():
    touch("a.png", "sub/b.png")
    assert pairs(plan("a.png", "sub/b.png", output="clean")) == {"a.png": "clean/a.png", "sub/b.png": "clean/b.png"}


def test_a_folder_keeps_its_tree_beside_it():
    touch("photos/b.PNG", "photos/x/a.jpg", "photos/notes.txt")
    expected = {"photos/b.PNG": "photos_denoised/b.PNG", "photos/x/a.jpg": "photos_denoised/x/a.jpg"}
    assert pairs(plan("photos/")) == expected


def test_the_working_folder_is_named_by_its_real_name(tmp_path, monkeypatch):
    touch("photos/a.png")
    monkeypatch.chdir(tmp_path / "photos")
    assert pairs(plan(".")) == {"a.png": str(tmp_path / "photos_denoised" / "a.png")}


def test_a_folder_named_like_a_picture_is_a_folder():
    touch("x.png/a.png")
    assert pairs(plan("x.png", output="clean")) == {"x.png/a.png": "clean/a.png"}


def test_an_output_folder_inside_the_input_is_not_walked():
    touch("photos/a.png", "photos/clean/a.png")
    assert pairs(plan("photos", output="photos/clean", existing=Existing.SKIP)) == {
        "photos/a.png": "photos/clean/a.png"
    }


def test_hidden_files_links_to_folders_and_fifos_are_left_out():
    touch("photos/a.png", "photos/.restorekit-1.part", "photos/.b.png", "photos/.hidden/c.png", "elsewhere/d.png")
    Path("photos/loop").symlink_to("../photos")
    Path("photos/link.png").symlink_to("../elsewhere/d.png")
    Path("photos/self.png").symlink_to("self.png")
    os.mkfifo("photos/fifo.png")
    result = plan("photos", output="clean")
    assert list(pairs(result)) == ["photos/a.png", "photos/link.png"]
    assert [note.split(":")[0] for note in result.notes] == ["photos/loop", "photos/fifo.png", "photos/self.png"]


def test_a_folder_without_pictures_fails_and_the_others_do_not():
    touch("photos/a.png", "texts/a.txt")
    result = plan("texts", "photos", output="clean")
    assert list(pairs(result)) == ["photos/a.png"]
    assert "texts: no pictures in it" in str(result.refusals[0].error)


def test_formats_that_cannot_be_written_become_png():
    touch("a.gif", "scan")
    assert pairs(plan("a.gif", "scan")) == {"a.gif": "a_denoised.png", "scan": "scan_denoised.png"}


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["photos/a.png", "more/a.png"], "clean", "would both be written to clean/a.png"),
        (["photos/a.png", "photos/../photos/a.png"], None, "would both be written"),
        (["photos", "more"], "clean", "would both be written"),
        (["photos/a.png", "photos/a.gif"], None, "would both be written to photos/a_denoised.png"),
        (["photos/a.png"], "photos/a.png", "input and output in one"),
        (["photos/a.png"], "link.png", "input and output in one"),
        (["more"], "more", "input and output in one"),
        (["photos/a.png", "photos/a_denoised.png"], None, "is an input and would be the output of photos/a.png"),
        (["photos/a.png", "more/a.png"], "out.png", "would be one file for 2 inputs"),
        (["photos"], "out.png", "would be one file for a folder"),
        (["photos"], "text", "would be one file for a folder"),
        (["photos/a.png"], "out.xyz", "no image format is known"),
        (["photos/a.png"], "out.gif", "not written"),
        (["-", "photos/a.png"], None, "carries one image"),
        (["-", "-"], None, "carries one image"),
        (["photos"], "-", "is a folder"),
        (["-"], "photos/", "needs an output file"),
    ],
)
def test_inputs_and_outputs_that_do_not_fit_are_refused_before_work_starts(inputs, output, message):
    touch("photos/a.png", "photos/a.gif", "more/a.png", "text")
    if "photos/a_denoised.png" in inputs:
        touch("photos/a_denoised.png")
    Path("link.png").symlink_to("photos/a.png")
    with pytest.raises(UsageError, match=message):
        plan(*inputs, output=output)


def test_an_input_may_be_replaced_knowingly_but_never_another_one():
    touch("a.png", "a_denoised.png")
    assert pairs(plan("a.png", output="a.png", existing=Existing.REPLACE)) == {"a.png": "a.png"}
    with pytest.raises(UsageError, match="is an input"):
        plan("a.png", "a_denoised.png", existing=Existing.REPLACE)


def test_existing_outputs_fail_one_by_one():
    touch("a.png", "b.png", "a_denoised.png")
    result = plan("a.png", "b.png")
    assert list(pairs(result)) == ["b.png"]
    assert isinstance(result.refusals[0].error, OutputError)
    assert "already exists; pass --overwrite" in str(result.refusals[0].error)
    assert len(plan("a.png", "b.png", existing=Existing.SKIP).jobs) == 2
    assert len(plan("a.png", "b.png", existing=Existing.REPLACE).jobs) == 2


def test_an_output_file_needs_its_folder_and_a_folder_in_the_way_is_seen():
    touch("a.png")
    Path("a_denoised.png").mkdir()
    assert "there is no folder" in str(plan("a.png", output="missing/b.png").refusals[0].error)
    assert "a folder is in the way" in str(plan("a.png", existing=Existing.REPLACE).refusals[0].error)


def test_names_as_long_as_can_be():
    name = "x" * 251 + ".png"
    touch(name)
    assert "cannot be written" in str(plan(name).refusals[0].error)
    assert pairs(plan(name, output="clean/")) == {name: f"clean/{name}"}
    with pytest.raises(OutputError, match="cannot be written"):
        plan("-", output="y" * 300 + ".png")


def test_streams():
    touch("a.png")
    assert plan("-").jobs == (Job(None, None),)
    assert plan("-", output="-").jobs == (Job(None, None),)
    assert plan("a.png", output="-").jobs == (Job(Path("a.png"), None),)
    assert plan("-", output="b.png").jobs == (Job(None, Path("b.png"), named=True),)
    with pytest.raises(OutputError, match="already exists"):
        plan("-", output="a.png")


def test_a_pattern_that_names_the_outputs_too_can_be_resumed():
    touch("a.png", "a_denoised.png", "b.png")
    names = ("a.png", "a_denoised.png", "b.png")
    with pytest.raises(UsageError, match="is an input and would be the output"):
        plan(*names)
    result = plan(*names, existing=Existing.SKIP)
    assert pairs(result) == {"a.png": "a_denoised.png", "b.png": "b_denoised.png"}
    assert result.notes == ("a_denoised.png: the output of a.png, left out",)


def test_an_empty_name_is_not_the_working_folder():
    touch("a.png")
    for inputs, output in ((("",), None), (("a.png",), ""), (("-",), "")):
        with pytest.raises(UsageError, match="an empty name"):
            plan(*inputs, output=output)


def test_a_name_without_suffix_may_have_been_meant_as_a_folder():
    touch("a.png")
    with pytest.raises(UsageError, match=r"clean: name a file such as clean\.png, or a folder with a slash at its end"):
        plan("a.png", output="clean")
