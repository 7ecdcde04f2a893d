"""The planes that deblocking hands to the network, their resolution and conditioning; and chroma brought back."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.errors import UsageError
from restorekit.image import Metadata, Picture, read_picture
from restorekit.image.picture import turn
from restorekit.numerics.metrics import psnr
from restorekit.physics.jpeg import enlarge_guided, rgb_to_ycbcr, rms_error, shrink, stored_samples, ycbcr_to_rgb
from restorekit.tasks import get_task
from restorekit.tasks.base import Run
from restorekit.tasks.deblock import DeblockBenchmark, DeblockBenchmarkOptions, DeblockOptions
from restorekit.types import RunReport, RunSettings
from restorekit.zoo import LoadedModel
from tests.cards import bare_card
from tests.tiny import tiny_network

CARD = bare_card("tiny", "deblock", 1, (5.0, 95.0))


@pytest.fixture
def planes(monkeypatch):
    """A network that changes nothing; the shapes and conditioning of the planes that it was given."""
    seen = []

    def unchanged(pixels, conditioning, network, settings):
        seen.append((pixels.shape, conditioning))
        return pixels, RunReport("cpu", 2, 0.5)

    monkeypatch.setattr("restorekit.inference.runner.restore_array", unchanged)
    return seen


def run():
    return Run(get_task("deblock").select(None, LoadedModel(CARD, tiny_network(), Path("tiny"))), RunSettings())


def operation(quality_factor=None):
    return get_task("deblock").prepare(DeblockOptions(quality_factor), run())


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return read_picture(file.getvalue())


def discs():
    """Coloured discs on another colour: edges of chroma are edges of luma."""
    y, x = np.mgrid[:65, :67]
    disc = ((x % 22 - 11) ** 2 + (y % 22 - 11) ** 2 < 60)[..., None]
    return np.where(disc, np.uint8([200, 60, 40]), np.uint8([40, 90, 120]))


@pytest.mark.parametrize("size", [(64, 64), (65, 67), (2, 5), (9, 4), (9, 3), (1, 1)])
@pytest.mark.parametrize(("subsampling", "factors"), [("4:2:0", (2, 2)), ("4:2:2", (2, 1)), ("4:4:4", (1, 1))])
def test_the_chroma_that_a_jpeg_stored_is_found_again(size, subsampling, factors):
    """Random samples of chroma, saved with steps of 1, are found again but for rounding."""
    across, down = factors
    rows, columns = -(-size[0] // down), -(-size[1] // across)
    samples = np.random.default_rng(0).uniform(0.4, 0.6, (2, rows, columns)).astype(np.float32)
    planes = samples.repeat(down, 1).repeat(across, 2)[:, : size[0], : size[1]]
    rgb = ycbcr_to_rgb(np.dstack([np.full(size, 0.5, np.float32), *planes]))
    decoded = jpeg(np.rint(255 * rgb).astype(np.uint8), quality=100, subsampling=subsampling)
    for index, expected in enumerate(samples):
        found = stored_samples(rgb_to_ycbcr(decoded.to_float())[..., 1 + index], factors)
        assert np.sqrt(np.mean((found - expected) ** 2)) < 1 / 255
        assert np.abs(found - expected).max() < 3 / 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2"])
def test_a_turned_photograph_is_restored_as_one_that_lies_as_its_file_has_it(planes, orientation, subsampling):
    exif = Image.Exif()
    exif[274] = orientation
    upright = operation()(jpeg(discs(), quality=30, subsampling=subsampling)).picture
    turned = operation()(jpeg(discs(), quality=30, subsampling=subsampling, exif=exif)).picture
    np.testing.assert_array_equal(turned.pixels, turn(upright.pixels, orientation))


@pytest.mark.parametrize(("subsampling", "shape"), [("4:4:4", (65, 67)), ("4:2:2", (65, 34)), ("4:2:0", (33, 34))])
def test_chroma_is_restored_at_the_resolution_it_was_stored_in(planes, subsampling, shape):
    restored = operation()(jpeg(discs(), quality=20, subsampling=subsampling))
    (luma, luma_error), *chroma = planes
    assert (luma, luma_error) == ((65, 67), rms_error(20))
    assert [plane for plane, _ in chroma] == [shape, shape]
    assert all(0 < error < luma_error for _, error in chroma)
    assert restored.parameters == (("quality_factor", 20),)
    assert (restored.report, restored.notes) == (RunReport("cpu", 6, 1.5), ())
    assert restored.picture.pixels.shape == (65, 67, 3)


def test_colour_returns_to_the_edges_of_luma(planes):
    truth = discs()
    compressed = jpeg(truth, quality=90, subsampling="4:2:0")
    restored = operation()(compressed).picture
    pictures = (compressed.pixels, restored.pixels, truth)
    before, after, wanted = (rgb_to_ycbcr(pixels / 255)[..., 1:] for pixels in pictures)
    assert psnr(after, wanted) > psnr(before, wanted) + 0.5


def test_grey_is_one_plane_and_stays_grey(planes):
    restored = operation()(jpeg(discs()[..., 0], quality=40))
    assert planes == [((65, 67), rms_error(40))]
    assert restored.picture.is_grey


def test_a_quality_that_is_named_comes_before_the_tables(planes):
    operation(10)(jpeg(discs(), quality=90, subsampling="4:2:0"))
    assert planes[0] == ((65, 67), rms_error(10))
    assert planes[1][0] == (33, 34)


def test_a_former_jpeg_keeps_depth_alpha_and_all_of_its_colour(planes):
    pixels, alpha = discs().astype(np.uint16) * 257, np.arange(65 * 67, dtype=np.uint16).reshape(65, 67)
    restored = operation(10)(Picture(pixels, Metadata("png"), alpha)).picture
    assert [shape for shape, _ in planes] == [(65, 67)] * 3
    assert restored.pixels.dtype == np.uint16
    assert np.array_equal(restored.alpha, alpha)


def test_a_picture_that_tells_no_quality_is_refused(planes):
    with pytest.raises(UsageError, match="--quality-factor"):
        operation()(Picture(discs(), Metadata("png")))


@pytest.mark.parametrize(("quality", "taken", "share"), [(1, 5, ""), (99, 95, ", and 4 % of the change made")])
def test_a_quality_beyond_the_model_is_taken_as_its_nearest(planes, quality, taken, share):
    restored = operation()(jpeg(discs()[..., 0], quality=quality))
    assert planes[0][1] == rms_error(taken)
    assert restored.parameters == (("quality_factor", quality),)
    assert restored.notes == (f"quality {quality} taken as {taken}, the nearest that tiny was made for{share}",)


@pytest.mark.parametrize(("quality", "share"), [(1, 1), (95, 1), (100, 0.011)])
def test_a_finer_quality_than_the_model_was_made_for_changes_less(monkeypatch, quality, share):
    """The network adds a tenth: all of it where it was made for the quality."""

    def brighter(pixels, conditioning, network, settings):
        return pixels + np.float32(0.1), RunReport("cpu", 1, 0.5)

    monkeypatch.setattr("restorekit.inference.runner.restore_array", brighter)
    compressed = jpeg(np.full((16, 16), 100, np.uint8), quality=quality)
    restored = operation()(compressed).picture.to_float()
    assert np.mean(restored - compressed.to_float()) == pytest.approx(0.1 * share, abs=1 / 255)


def test_detail_that_chroma_does_not_share_with_luma_is_left_out():
    """Smooth chroma that is enlarged by busy luma stays smooth."""
    rows, columns = np.mgrid[:32, :32].astype(np.float32)
    smooth = 0.5 + 0.2 * np.sin(rows / 4) * np.cos(columns / 5)
    busy = np.random.default_rng(0).random((32, 32), np.float32)
    found = enlarge_guided(shrink(smooth, (2, 2)), busy, (2, 2), error=1e-3)
    assert np.sqrt(np.mean((found - smooth) ** 2)) < 0.012
    own = enlarge_guided(shrink(busy, (2, 2)), busy, (2, 2), error=1e-3)
    assert np.sqrt(np.mean((own - busy) ** 2)) < 0.02


@pytest.mark.parametrize("quality", [0, 101])
def test_quality_factors_outside_1_to_100_are_refused(quality):
    with pytest.raises(UsageError, match="from 1 to 100"):
        operation(quality)


@pytest.mark.parametrize("factors", [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 5), (8, 8)])
def test_small_and_odd_planes_are_shrunk_and_enlarged(shape, factors):
    across, down = factors
    plane = np.full(shape, 0.25, np.float32)
    small = shrink(plane, factors)
    assert small.shape == (-(-shape[0] // down), -(-shape[1] // across))
    guide = np.random.default_rng(0).random(shape).astype(np.float32)
    assert enlarge_guided(small, guide, factors, error=0.01) == pytest.approx(plane, abs=1e-5)


def test_colour_that_luma_does_not_explain_is_kept_where_it_is_beyond_the_error():
    generator = np.random.default_rng(1)
    plane, guide = generator.random((9, 10), np.float32), np.full((9, 10), 0.5, np.float32)
    assert enlarge_guided(plane, guide, (1, 1), error=0) == pytest.approx(plane, abs=1e-5)
    assert np.abs(enlarge_guided(plane, guide, (1, 1), error=10) - plane).max() > 0.2


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_jpeg_of_high_quality_keeps_its_colours(planes, subsampling):
    truth = discs()
    compressed = jpeg(truth, quality=97, subsampling=subsampling)
    restored = operation()(compressed).picture
    pictures = (compressed.pixels, restored.pixels, truth)
    before, after, wanted = (rgb_to_ycbcr(pixels / 255)[..., 1:] for pixels in pictures)
    assert psnr(after, wanted) > psnr(before, wanted) - 0.1


@pytest.mark.parametrize("quality", [4, 96])
def test_an_evaluation_beyond_the_qualities_of_the_model_is_refused(quality):
    benchmark = DeblockBenchmark(DeblockBenchmarkOptions([quality]))
    with pytest.raises(UsageError, match=f"tiny was not made for quality factor {quality}; use 5 to 95"):
        benchmark.restore(np.zeros((8, 8), np.float32), quality, run())
