"""`restorekit deblock` and `restorekit degrade jpeg` on real files."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image, write_tiny_model
from PIL import Image, JpegImagePlugin
from skimage import data

from restorekit.image import read_picture
from restorekit.physics.jpeg import quality_of
from restorekit.zoo import selection


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    name = "deblock-gray-unet"
    write_tiny_model(folder / f"{name}.safetensors", name, task="deblock", conditioning_range=(5.0, 95.0), measured=())
    write_tiny_model(folder / "denoise-gray-groupsc.safetensors", "denoise-gray-groupsc")
    return folder


@pytest.fixture(autouse=True)
def shipped(surroundings, monkeypatch, models):
    monkeypatch.setattr(selection, "weights_folder", lambda: models)


def photo(name="photo.jpg", *, grey=False, quality=10, **options):
    pixels = data.camera() if grey else data.astronaut()
    Image.fromarray(pixels[20:57, 180:225]).save(name, quality=quality, **options)
    return Path(name)


def test_a_photograph(run):
    photo()
    result = run("deblock", "photo.jpg")
    assert (result.code, result.stdout) == (0, b"")
    assert result.stderr.startswith("photo.jpg -> photo_deblocked.png (deblock-gray-unet, quality factor 10, ")
    restored = read_picture(Path("photo_deblocked.png"))
    assert (restored.pixels.shape, restored.pixels.dtype) == ((37, 45, 3), np.uint8)
    assert not np.array_equal(restored.pixels, read_picture(Path("photo.jpg")).pixels)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_kinds_of_jpeg(run, subsampling, progressive):
    photo("a.jpg", quality=35, subsampling=subsampling, progressive=progressive)
    photo("grey.jpg", grey=True, quality=35, progressive=progressive)
    result = run("deblock", "a.jpg", "grey.jpg", "--json", "-o", "out")
    assert result.code == 0
    assert [json.loads(line)["quality_factor"] for line in result.stdout.splitlines()] == [35, 35]
    assert read_picture(Path("out/a.png")).pixels.shape == (37, 45, 3)
    assert read_picture(Path("out/grey.png")).is_grey


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 7), (1, 1, 3), (7, 5, 3), (17, 16, 3)])
def test_small_and_odd_sizes(run, shape):
    write_image("a.jpg", shape=shape, quality=20)
    assert run("deblock", "a.jpg").code == 0
    assert read_picture(Path("a_deblocked.png")).pixels.shape == shape


def test_json_lines(run):
    photo()
    line = json.loads(run("deblock", "photo.jpg", "--json", "--device", "cpu").stdout)
    expected = {"status": "done", "input": "photo.jpg", "output": "photo_deblocked.png", "device": "cpu", "notes": []}
    assert {key: line[key] for key in expected} == expected
    assert (line["quality_factor"], line["model"]) == (10, "deblock-gray-unet")
    assert line["tiles"] >= 3
    assert line["seconds"] > 0


def test_a_png_that_was_a_jpeg_needs_the_flag(run):
    Image.fromarray(read_picture(photo()).pixels).save("was.png")
    result = run("deblock", "was.png")
    assert result.code == 1
    assert result.errors == [
        "restorekit: error: was.png: not a JPEG file, so its quality factor is unknown; "
        "name that of its compression with --quality-factor"
    ]
    assert not Path("was_deblocked.png").exists()
    assert run("deblock", "was.png", "--quality-factor", "10").code == 0
    assert read_picture(Path("was_deblocked.png")).pixels.shape == (37, 45, 3)


def test_a_jpeg_that_was_saved_twice_takes_the_flag(run):
    Image.fromarray(read_picture(photo()).pixels).save("twice.jpg", quality=95)
    own, named = (
        json.loads(run("deblock", "twice.jpg", "--json", "-o", name, *options).stdout)
        for name, options in (("own.png", ()), ("named.png", ("--quality-factor", "10")))
    )
    assert (own["quality_factor"], named["quality_factor"]) == (95, 10)
    assert Path("own.png").read_bytes() != Path("named.png").read_bytes()


def test_a_quality_beyond_the_model_is_reported(run):
    photo(quality=99)
    result = run("deblock", "photo.jpg")
    assert result.code == 0
    assert "photo.jpg: quality 99 taken as 95, the nearest that deblock-gray-unet was made for" in result.stderr


@pytest.mark.parametrize("command", [("deblock",), ("degrade", "jpeg")])
@pytest.mark.parametrize("quality", ["0", "101", "-1", "nan", "good", "10.5", ""])
def test_a_quality_out_of_range_is_refused(run, command, quality):
    photo()
    result = run(*command, "photo.jpg", "--quality-factor", quality)
    assert result.code == 2
    assert "--quality-factor" in result.stderr
    assert list(Path().iterdir()) == [Path("photo.jpg")]


@pytest.mark.parametrize("command", [("deblock",), ("degrade", "jpeg", "--quality-factor", "10")])
def test_faults_do_not_stop_the_others(run, command):
    Path("photos").mkdir()
    whole = photo("photos/good.jpg").read_bytes()
    Path("photos/cut.jpg").write_bytes(whole[:-60])
    Path("photos/empty.jpg").write_bytes(b"")
    Image.fromarray(data.astronaut()[:16, :16]).convert("CMYK").save("photos/print.jpg")
    result = run(*command, "photos", "-o", "out")
    assert result.code == 1
    assert len(result.errors) == 3
    for name, message in (("cut", "truncated"), ("empty", "the file is empty"), ("print", "CMYK")):
        assert any(f"{name}.jpg: " in line and message in line for line in result.errors)
    assert len(list(Path("out").iterdir())) == 1


def test_orientation_and_metadata(run):
    exif = Image.Exif()
    exif[271], exif[274] = "Kamera", 6
    photo(exif=exif, subsampling="4:2:2")
    assert run("deblock", "photo.jpg").code == 0
    before, after = read_picture(Path("photo.jpg")), read_picture(Path("photo_deblocked.png"))
    assert after.pixels.shape == before.pixels.shape == (45, 37, 3)
    assert after.metadata.exif == before.metadata.exif
    assert b"Kamera" in after.metadata.exif


def test_alpha_and_depth_are_kept(run):
    write_image("a.png", shape=(12, 14, 4))
    tifffile.imwrite("b.tif", np.full((12, 14), 40000, np.uint16))
    assert run("deblock", "a.png", "b.tif", "--quality-factor", "30", "-o", "out").code == 0
    assert np.array_equal(read_picture(Path("out/a.png")).alpha, read_picture(Path("a.png")).alpha)
    assert read_picture(Path("out/b.tif")).pixels.dtype == np.uint16


def test_a_pipe_gives_png_and_a_named_output_any_format(run):
    stdin = photo().read_bytes()
    result = run("deblock", "-", stdin=stdin)
    assert result.code == 0
    assert read_picture(result.stdout).metadata.file_format == "png"
    assert run("deblock", "photo.jpg", "-o", "out.jpg").code == 0
    assert read_picture(Path("out.jpg")).metadata.file_format == "jpeg"


def test_dry_run_and_resumption(run):
    Path("photos").mkdir()
    photo("photos/a.jpg")
    planned = run("deblock", "photos", "--dry-run", "--json")
    assert json.loads(planned.stdout)["output"] == "photos_deblocked/a.png"
    assert not Path("photos_deblocked").exists()
    assert run("deblock", "photos").code == 0
    assert run("deblock", "photos").code == 1
    again = run("deblock", "photos", "--skip-existing", "--json")
    assert json.loads(again.stdout)["status"] == "skipped"


def test_a_model_of_another_task_is_refused(run):
    photo()
    result = run("deblock", "photo.jpg", "--model", "denoise-gray-groupsc")
    assert result.code in (1, 2)
    assert "deblock-gray-unet would fit" in result.errors[0]
    assert not Path("photo_deblocked.png").exists()


def test_degrade_makes_a_jpeg_of_that_very_quality(run):
    write_image("img.png", shape=(17, 19, 3))
    result = run("degrade", "jpeg", "img.png", "--quality-factor", "10", "--json")
    line = json.loads(result.stdout)
    assert (line["output"], line["quality_factor"]) == ("img_jpeg.jpg", 10)
    with Image.open("img_jpeg.jpg") as image:
        assert quality_of(image.quantization[0]) == quality_of(image.quantization[1], chroma=True) == 10
        assert JpegImagePlugin.get_sampling(image) == 2
    assert run("degrade", "jpeg", "img.png", "--quality-factor", "10", "-o", "decoded.png").code == 0
    assert np.array_equal(read_picture(Path("decoded.png")).pixels, read_picture(Path("img_jpeg.jpg")).pixels)
    piped = run("degrade", "jpeg", "-", "--quality-factor", "10", stdin=Path("img.png").read_bytes())
    assert piped.stdout == Path("img_jpeg.jpg").read_bytes()
    assert run("deblock", "img_jpeg.jpg").code == 0


def test_degrade_keeps_what_no_jpeg_can_hold(run):
    write_image("alpha.png", shape=(12, 14, 4))
    tifffile.imwrite("deep.tif", np.linspace(0, 65535, 12 * 14).astype(np.uint16).reshape(12, 14))
    result = run("degrade", "jpeg", "alpha.png", "deep.tif", "--quality-factor", "10")
    assert result.code == 0
    assert np.array_equal(read_picture(Path("alpha_jpeg.png")).alpha, read_picture(Path("alpha.png")).alpha)
    assert read_picture(Path("deep_jpeg.png")).pixels.dtype == np.uint16
    assert "deep.tif: compressed at 8 bits a channel" in result.stderr
    named = run("degrade", "jpeg", "deep.tif", "--quality-factor", "10", "-o", "deep.jpg")
    assert (named.code, Path("deep.jpg").exists()) == (1, False)


def test_degrade_keeps_metadata_unless_told_otherwise(run):
    exif = Image.Exif()
    exif[271] = "Kamera"
    write_image("img.png", shape=(12, 14), exif=exif)
    for options, kept in (((), True), (("--strip-metadata", "--overwrite"), False)):
        assert run("degrade", "jpeg", "img.png", "--quality-factor", "50", *options).code == 0
        assert (b"Kamera" in Path("img_jpeg.jpg").read_bytes()) == kept


def test_evaluation(run):
    write_image("data/a.png", shape=(20, 24))
    write_image("data/b.png", shape=(20, 24, 3))
    options = ("--quality-factor", "10", "--quality-factor", "40", "--against", "jpeg", "--against", "tv")
    result = run("eval", "deblock", "--data", "data", *options, "--json", "-")
    assert result.code == 0
    assert "quality 10" in result.stderr
    document = json.loads(result.stdout)
    figures = {(entry["method"], entry["quality_factor"]) for entry in document["results"]}
    names = ("jpeg", "tv", "deblock-gray-unet (balanced)")
    assert figures == {(name, quality) for name in names for quality in (10, 40)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--quality-factor", "0"), "--quality-factor"),
        (("--quality-factor", "10", "--quality-factor", "10"), "different"),
        (("--quality-factor", "10", "--against", "nlm"), "choose jpeg, tv"),
        ((), "--quality-factor"),
    ],
)
def test_evaluations_that_make_no_sense(run, options, message):
    write_image("data/a.png", shape=(20, 24))
    result = run("eval", "deblock", "--data", "data", *options)
    assert result.code == 2
    assert message in result.stderr


@pytest.mark.parametrize("command", [("deblock",), ("degrade", "jpeg")])
def test_floats_on_another_scale_are_reported(run, command):
    tifffile.imwrite("img.tif", np.full((16, 16), 200, np.float32))
    result = run(*command, "img.tif", "--quality-factor", "30")
    assert result.code == 0
    assert "values from 200 to 200 were taken as [0, 1]" in result.stderr
