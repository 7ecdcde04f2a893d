"""Mosaics on their way to the network and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.image import Camera, Metadata, Picture, encode_picture, read_picture
from restorekit.image.picture import turn
from restorekit.numerics.metrics import psnr
from restorekit.physics.mosaic import decode_srgb, mosaic
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.demosaic import (
    DemosaicBenchmark,
    DemosaicBenchmarkOptions,
    DemosaicOptions,
    Mosaic,
    MosaicOptions,
    demosaic_array,
)
from restorekit.types import BayerPattern, RunSettings
from restorekit.zoo import LoadedModel
from tests.mosaic_network import CARD, Interpolator
from tests.raw_files import XYZ_TO_SRGB, bayer_dng

RGGB = BayerPattern.RGGB
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
SETTINGS = RunSettings(device="cpu")


def run(network=Interpolator, *, explain=False):
    models = get_task("demosaic").select(None, LoadedModel(CARD, network(), Path("interpolator")))
    return Run(models, SETTINGS, explain=explain)


def operation(pattern=RGGB, network=Interpolator, *, explain=False):
    return get_task("demosaic").prepare(DemosaicOptions(pattern), run(network, explain=explain))


def mosaic_of(picture, pattern=RGGB):
    return Mosaic(MosaicOptions(pattern))(picture).picture.pixels


def raw(pixels, **changes):
    camera = {"pattern": "rggb", "white_balance": (1.0, 1.0, 1.0), "to_srgb": IDENTITY, **changes}
    return Picture(pixels, Metadata("tiff", camera=Camera(**camera)))


@pytest.mark.parametrize("pattern", list(BayerPattern))
@pytest.mark.parametrize("size", [(9, 12), (3, 4), (2, 2), (6, 5), (1, 7), (1, 1), (13, 1)])
def test_small_mosaics_keep_their_pattern_where_they_are_extended(pattern, size):
    observed = np.random.default_rng(0).random(size, np.float32)
    rgb, report = demosaic_array(observed, pattern, Interpolator(), SETTINGS)
    assert rgb.shape == (*size, 3)
    assert report.device == "cpu"
    np.testing.assert_array_equal(mosaic(torch.from_numpy(rgb), pattern).numpy(), observed)
    if min(size) > 1:
        colour = torch.tensor([0.2, 0.5, 0.9]).expand(*size, 3)
        rgb, _ = demosaic_array(mosaic(colour, pattern).numpy(), pattern, Interpolator(), SETTINGS)
        np.testing.assert_allclose(rgb, colour, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_depth_and_metadata_stay_and_what_was_observed_is_exact(dtype):
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    pixels = (np.random.default_rng(1).random((10, 11)) * scale).astype(dtype)
    restored = operation()(Picture(pixels, Metadata("png", exif=b"exif", dpi=(72.0, 72.0))))
    colour = restored.picture
    assert colour.pixels.dtype == dtype
    assert colour.pixels.shape == (10, 11, 3)
    assert (colour.metadata.exif, colour.metadata.dpi) == (b"exif", (72.0, 72.0))
    assert restored.parameters == (("pattern", "rggb"),)
    assert restored.model == "interpolator"
    again = mosaic_of(colour)
    np.testing.assert_allclose(again, pixels, rtol=1e-6)


def test_a_grey_profile_is_not_put_on_a_colour_picture():
    restored = operation()(Picture(np.zeros((8, 8), np.uint8), Metadata("png", icc=b"grey")))
    assert restored.picture.metadata.icc == b""
    assert restored.notes == ("ICC profile of a grey picture left out of a colour one",)


def test_floats_of_another_scale_are_told():
    restored = operation()(Picture(np.full((8, 8), 4000, np.float32), Metadata("tiff")))
    assert "4000 were taken as [0, 1]" in restored.notes[0]


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Picture(np.zeros((8, 8, 3), np.uint8), Metadata("png")), "`restorekit degrade mosaic` makes one"),
        (Picture(np.zeros((8, 8), np.uint8), Metadata("png"), np.zeros((8, 8), np.uint8)), "alpha channel"),
    ],
)
def test_what_is_no_mosaic_is_refused(picture, message):
    with pytest.raises(UnsupportedImageError, match=message):
        operation()(picture)


def test_the_pattern_of_the_file_and_of_the_user():
    grey = np.full((8, 8), 30000, np.uint16)
    assert operation(None)(raw(grey, pattern="gbrg")).parameters == (("pattern", "gbrg"),)
    assert operation(RGGB)(raw(grey)).parameters == (("pattern", "rggb"),)
    with pytest.raises(UsageError, match="the file's pattern is gbrg, not rggb; leave out --pattern"):
        operation(RGGB)(raw(grey, pattern="gbrg"))
    with pytest.raises(UsageError, match="name it with --pattern"):
        operation(None)(Picture(grey, Metadata("png")))


def test_a_neutral_surface_becomes_grey_on_the_srgb_curve_and_highlights_white():
    balance = np.array([2.0, 1.0, 1.25])
    neutral = mosaic_of(Picture(np.tile(0.2 / balance, (8, 8, 1)), Metadata("tiff")))
    matrix = ((1.6, -0.5, -0.1), (-0.2, 1.5, -0.3), (0.0, -0.6, 1.6))
    pixels = np.rint(65535 * neutral).astype(np.uint16)
    colour = operation(None)(raw(pixels, white_balance=tuple(balance), to_srgb=matrix)).picture
    expected = 65535 * (1.055 * 0.2 ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(colour.pixels, expected, atol=8)
    assert colour.metadata.camera is None
    saturated = np.full((8, 8), 65535, np.uint16)
    white = operation(None)(raw(saturated, white_balance=tuple(balance), to_srgb=matrix)).picture
    assert white.pixels.min() >= 65530


def test_camera_colours_are_converted_by_the_matrix():
    red = mosaic_of(Picture(np.tile([0.25, 0.0, 0.0], (8, 8, 1)), Metadata("tiff")))
    swap = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    colour = operation(None)(raw(np.rint(65535 * red).astype(np.uint16), to_srgb=swap)).picture.to_float()
    np.testing.assert_allclose(colour.mean((0, 1)), [0, 1.055 * 0.25 ** (1 / 2.4) - 0.055, 0], atol=1e-3)


def test_a_photograph_seen_by_a_camera_comes_back():
    """Light through a camera's filters, its sensor's levels and a DNG file, and all of it undone."""
    pytest.importorskip("rawpy")
    photo = data.astronaut()[80:160, 170:250] / np.float32(255)
    filters = np.array([[0.55, 0.35, 0.10], [0.15, 0.75, 0.10], [0.02, 0.28, 0.70]])
    neutral = np.array([0.5, 1.0, 0.7])
    sensor = decode_srgb(photo) @ filters.T * neutral
    observed = mosaic_of(Picture(sensor, Metadata("tiff")), BayerPattern.GBRG)
    levels = np.rint(512 + (15000 - 512) * observed).astype(np.uint16)
    matrix = (np.diag(neutral) @ filters @ np.reshape(XYZ_TO_SRGB, (3, 3))).flatten()
    file = bayer_dng(levels, "gbrg", black=(512,) * 4, white=15000, neutral=neutral, matrix=matrix)
    colour = operation(None)(read_picture(file, camera_raw=True)).picture.to_float()
    assert psnr(colour, photo) > 30
    np.testing.assert_allclose(colour.mean((0, 1)), photo.mean((0, 1)), atol=0.003)


def test_a_turned_camera_s_picture_is_turned_after_it_has_colour():
    rgb = np.random.default_rng(2).integers(0, 65536, (8, 10, 3)).astype(np.uint16)
    observed = mosaic_of(Picture(rgb, Metadata("tiff")))
    upright = operation(None)(raw(observed)).picture.pixels
    turned = operation(None)(raw(observed, orientation=6)).picture.pixels
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_a_pattern_is_that_of_the_pixels_in_the_file_however_they_are_to_be_seen(tmp_path, orientation, suffix):
    """The mosaic of a photograph with an orientation comes out as the photograph without, turned."""
    photo = data.astronaut()[100:140, 200:232]
    pixels = mosaic_of(Picture(photo, Metadata("png")))
    expected = operation()(Picture(pixels, Metadata("png"))).picture.pixels
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"mosaic{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    picture = read_picture(path)
    assert picture.metadata.orientation == orientation
    restored = operation(explain=True)(picture)
    np.testing.assert_array_equal(restored.picture.pixels, turn(expected, orientation))
    reference = Picture(turn(photo, orientation), Metadata("png"))
    np.testing.assert_array_equal(restored.trace.truth_of(reference), Picture(photo, Metadata("png")).to_float())


def test_a_mosaic_that_was_compressed_is_told():
    pixels = np.random.default_rng(5).integers(0, 256, (16, 16), dtype=np.uint8)
    notes = operation()(read_picture(encode_picture(Picture(pixels, Metadata("png")), "jpeg"))).notes
    assert ["compressed as JPEG" in note for note in notes] == [True]
    assert not operation()(Picture(pixels, Metadata("png"))).notes


class Darkener(Interpolator):
    """Leaves a tenth of the light out."""

    def forward(self, observed, level, stride=1, tile_size=None, mask=None):
        sums, covered = super().forward(observed, level, stride, tile_size, mask)
        return 0.9 * sums, covered


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_was_observed_is_put_back_whatever_the_network_makes_of_it(dtype):
    scale = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    pixels = (np.random.default_rng(3).random((3, 10)) * scale).astype(dtype)
    colour = operation(network=Darkener)(Picture(pixels, Metadata("png"))).picture
    np.testing.assert_array_equal(mosaic_of(colour), pixels)


def test_as_a_method_to_be_measured():
    benchmark = DemosaicBenchmark(DemosaicBenchmarkOptions(["rggb"]))
    assert benchmark.conditions == (RGGB,)
    assert benchmark.method_name(run()) == "interpolator (balanced)"
    assert benchmark.restore(np.zeros((9, 8), np.float32), RGGB, run()).shape == (9, 8, 3)
