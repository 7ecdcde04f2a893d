"""Pictures as they come: each is restored without loss, or refused in one clear line with nothing written."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_runs import write_image
from PIL import Image, ImageCms

from restorekit.image import read_picture

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 14), np.uint8)
COLOUR = RNG.integers(0, 256, (12, 14, 3), np.uint8)


def saved(image, file_format, **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, file_format, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels, colour_type, bits):
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], bits, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in pixels)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bomb():
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")


def animated(file_format):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    return saved(frames[0], file_format, save_all=True, append_images=frames[1:])


REFUSED = {
    "zero bytes": ("a.png", b"", "the file is empty"),
    "truncated PNG": ("a.png", saved(COLOUR, "PNG")[:-30], "truncated"),
    "truncated JPEG": ("a.jpg", saved(COLOUR, "JPEG")[:-60], "truncated"),
    "text": ("a.png", b"no picture\n", "not an image"),
    "bomb": ("a.png", bomb(), "--max-pixels 2500000000"),
    "NaN": ("a.tif", tiff(np.full((12, 14), np.nan, np.float32)), "NaN or infinite"),
    "infinite": ("a.tif", tiff(np.full((12, 14), np.inf, np.float32)), "NaN or infinite"),
    "pages": ("a.tif", tiff(np.stack([GREY] * 3), photometric="minisblack"), "page"),
    "animated GIF": ("a.gif", animated("GIF"), "anima"),
    "animated PNG": ("a.png", animated("PNG"), "anima"),
    "CMYK": ("a.jpg", saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"), "CMYK"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_faulty_picture_is_refused_in_one_line(run, kind):
    name, content, message = REFUSED[kind]
    Path(name).write_bytes(content)
    result = run("denoise", name, "--sigma", "25")
    assert (result.code, result.stdout) == (1, b"")
    assert len(result.stderr.splitlines()) == len(result.errors) == 1
    assert result.errors[0].startswith(f"restorekit: error: {name}: ")
    assert message in result.errors[0]
    assert Path(name).read_bytes() == content
    assert list(Path().iterdir()) == [Path(name)]


DEEP = RNG.integers(0, 65536, (12, 14, 3), np.uint16)
KEPT = {
    "dark 16-bit": ("a.png", png(DEEP[..., 0] // 512, 0, 16), np.uint16, (12, 14)),
    "16-bit RGB": ("a.png", png(DEEP, 2, 16), np.uint16, (12, 14, 3)),
    "negative float": ("a.tif", tiff(np.full((12, 14), -0.5, np.float32)), np.float32, (12, 14)),
    "grey and alpha": ("a.png", saved(Image.fromarray(GREY).convert("LA"), "PNG"), np.uint8, (12, 14)),
    "bilevel": ("a.png", saved(Image.fromarray(GREY).convert("1"), "PNG"), np.uint8, (12, 14)),
    "palette with transparency": (
        "a.png",
        saved(Image.fromarray(COLOUR).quantize(16), "PNG", transparency=3),
        np.uint8,
        (12, 14, 3),
    ),
}


@pytest.mark.parametrize("kind", KEPT)
def test_depth_shape_and_alpha_are_kept(run, kind):
    name, content, depth, shape = KEPT[kind]
    Path(name).write_bytes(content)
    result = run("denoise", name, "--sigma", "25", "-o", "clean/")
    assert result.code == 0
    before, after = read_picture(Path(name)), read_picture(Path("clean", name))
    assert (after.pixels.dtype, after.pixels.shape) == (depth, shape)
    assert (before.alpha is None) == (after.alpha is None)
    if before.alpha is not None:
        assert np.array_equal(after.alpha, before.alpha)
    if kind == "dark 16-bit":
        assert after.pixels.max() < 600
    for note in before.notes:
        assert f"{name}: {note}" in result.stderr


def test_a_wrong_suffix_is_reported(run):
    Path("a.jpg").write_bytes(saved(COLOUR, "PNG"))
    result = run("denoise", "a.jpg", "--sigma", "25")
    assert result.code == 0
    assert "the content is PNG in spite of the name" in result.stderr
    assert read_picture(Path("a_denoised.jpg")).metadata.file_format == "jpeg"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_applied_once(run, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    write_image("a.jpg", shape=(12, 14, 3), exif=exif)
    assert run("denoise", "a.jpg", "--sigma", "25").code == 0
    with Image.open("a_denoised.jpg") as after:
        assert after.size == ((14, 12) if orientation < 5 else (12, 14))
        assert after.getexif()[274] == 1


def profile(space):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def test_colour_profiles(run):
    made = profile("sRGB")  # It holds the second it was made in.
    write_image("kept.png", shape=(12, 14, 3), icc_profile=made)
    write_image("malformed.png", shape=(12, 14, 3), icc_profile=b"no profile")
    result = run("denoise", "kept.png", "malformed.png", "--sigma", "25")
    assert result.code == 0
    assert read_picture(Path("kept_denoised.png")).metadata.icc == made
    assert "malformed.png: malformed ICC profile left out" in result.stderr


def test_a_fifo_and_a_symlink_loop_by_name(run):
    os.mkfifo("fifo.png")
    Path("loop.png").symlink_to("loop.png")
    result = run("denoise", "fifo.png", "loop.png", "missing.png", "--sigma", "25")
    assert result.code == 1
    missing, fifo, loop = result.errors
    assert "fifo.png: not a regular file; pipe it to standard input instead" in fifo
    assert "loop.png: cannot be read" in loop
    assert "missing.png: no such file" in missing


def test_a_folder_with_a_loop_a_fifo_and_a_folder_named_like_a_picture(run):
    write_image("photos/x.png/img.png")
    Path("photos/loop").symlink_to(".")
    os.mkfifo("photos/fifo.png")
    result = run("denoise", "photos", "--sigma", "25")
    assert result.code == 0
    assert [str(path) for path in Path("photos_denoised").rglob("*") if path.is_file()] == [
        "photos_denoised/x.png/img.png"
    ]
    assert "photos/fifo.png: not a regular file, left out" in result.stderr


def test_a_bad_picture_in_a_folder_costs_no_other(run):
    for index, (name, content, _) in enumerate(REFUSED.values()):
        write_image(f"photos/{index}/good.png")
        Path(f"photos/{index}", f"bad-{name}").write_bytes(content)
    result = run("denoise", "photos", "--sigma", "25", "-o", "clean")
    assert result.code == 1
    assert len(result.errors) == len(REFUSED)
    assert len(list(Path("clean").rglob("good.png"))) == len(REFUSED)
    assert f"{len(REFUSED)} done, 0 skipped, {len(REFUSED)} failed" in result.stderr


@pytest.mark.parametrize("failing", [1, 4])
def test_memory_that_runs_out_on_a_tile_costs_nothing(run, monkeypatch, failing):
    from restorekit.models.sparse_coding import PatchRestorer

    write_image("img.png", shape=(40, 50))
    assert run("denoise", "img.png", "--sigma", "25", "--tile", "16", "-o", "calm.png").code == 0
    restore_patches, calls = PatchRestorer.run, []

    def scarce(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise MemoryError
        return restore_patches(*arguments)

    monkeypatch.setattr(PatchRestorer, "run", scarce)
    assert run("denoise", "img.png", "--sigma", "25", "--tile", "16", "-o", "scarce.png").code == 0
    assert len(calls) > failing
    calm, after = (read_picture(Path(name)).pixels.astype(int) for name in ("calm.png", "scarce.png"))
    assert abs(calm - after).max() <= 1


def test_memory_that_runs_out_on_every_tile_is_an_error(run, monkeypatch):
    from restorekit.models.sparse_coding import PatchRestorer

    def out_of_memory(*arguments):
        raise MemoryError

    write_image("img.png")
    monkeypatch.setattr(PatchRestorer, "run", out_of_memory)
    result = run("denoise", "img.png", "--sigma", "25")
    assert result.code == 1
    assert "memory ran out even on the smallest tile" in result.errors[0]
    assert list(Path().iterdir()) == [Path("img.png")]


def test_floats_on_another_scale_are_reported(run):
    pixels = np.random.default_rng(0).normal(0.5, 0.3, (20, 20)).astype(np.float32)
    tifffile.imwrite("noisy.tif", pixels)
    tifffile.imwrite("scaled.tif", 255 * pixels)
    result = run("denoise", "noisy.tif", "scaled.tif", "--sigma", "25")
    assert result.code == 0
    assert "noisy.tif: values" not in result.stderr
    assert "were taken as [0, 1], as floats are" in result.stderr


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_resuming_keeps_a_whole_picture_that_cannot_be_read(run, dry):
    write_image("img.tif")
    other = write_image("img_denoised.tif", shape=(12, 14, 4))
    Image.open(other).convert("CMYK").save(other)
    before = other.read_bytes()
    result = run("denoise", "img.tif", "--sigma", "25", "--skip-existing", *dry)
    assert result.code == 1
    assert len(result.errors) == 1
    assert "CMYK" in result.errors[0]
    assert "only --overwrite replaces it" in result.errors[0]
    assert other.read_bytes() == before
