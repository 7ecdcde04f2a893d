"""Camera RAW files: black, white, pattern and colours as LibRaw reports them, and files that are refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from picture_files import noise

from restorekit.errors import (
    ImageTooLargeError,
    MissingExtraError,
    UnreadableImageError,
    UnsupportedImageError,
)
from restorekit.image import read_picture
from restorekit.image.tiff import decode_raw
from tests.raw_files import bayer_dng, linear_dng

MOSAIC = np.random.default_rng(0).integers(600, 14000, (41, 62)).astype(np.uint16)


class FakeRaw:
    """What rawpy shows of a file: by default a sensor behind rggb."""

    raw_pattern = np.array([[0, 1], [3, 2]], np.uint8)
    color_desc = b"RGBG"
    raw_image_visible = np.full((8, 8), 300, np.uint16)
    black_level_per_channel = (100, 100, 100, 100)
    white_level = 500
    camera_whitebalance = (2.0, 1.0, 1.5, 0.0)
    daylight_whitebalance = (1.9, 0.95, 1.4, 0.0)
    color_matrix = np.eye(3, 4)
    sizes = SimpleNamespace(width=8, height=8, top_margin=0, left_margin=0, flip=0)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


@pytest.fixture
def sensor(monkeypatch):
    """Read a file as if rawpy showed such attributes."""

    def read(**attributes):
        raw = type("Raw", (FakeRaw,), attributes)
        package = SimpleNamespace(imread=lambda _file: raw(), LibRawError=type("LibRawError", (Exception,), {}))
        monkeypatch.setitem(sys.modules, "rawpy", package)
        return decode_raw(b"", None)

    return read


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "grbg", "gbrg"])
def test_each_pixel_has_the_black_value_of_its_place(pattern):
    pytest.importorskip("rawpy")
    black = np.array([[512, 520], [528, 536]])
    picture = read_picture(bayer_dng(MOSAIC, pattern, black=black.flat, white=12000), camera_raw=True)
    offsets = np.tile(black, (21, 31))[:41]
    expected = np.clip((MOSAIC - offsets.astype(float)) / (12000 - offsets), 0, 1) * 65535
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_allclose(picture.pixels, expected, atol=0.51)
    camera = picture.metadata.camera
    assert camera.pattern == pattern
    np.testing.assert_allclose(camera.white_balance, (2, 1, 1.25))
    np.testing.assert_allclose(camera.to_srgb, np.eye(3), atol=1e-3)
    assert b"Modell" in picture.metadata.exif


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_reported_but_not_applied(orientation):
    pytest.importorskip("rawpy")
    picture = read_picture(bayer_dng(MOSAIC, orientation=orientation), camera_raw=True)
    assert picture.pixels.shape == MOSAIC.shape
    assert picture.metadata.camera.orientation == orientation


def test_the_pattern_starts_at_the_visible_corner():
    """Each value says which colour it has. The file's pattern starts at the active area, of which LibRaw cuts some."""
    pytest.importorskip("rawpy")
    rows, columns = np.indices((40, 50))
    colours = np.array([[1, 2], [2, 3]])[(rows - 3) % 2, (columns - 5) % 2]
    picture = read_picture(bayer_dng((1000 * colours).astype(np.uint16), area=(3, 5, 39, 49)), camera_raw=True)
    values = np.rint(picture.pixels[:2, :2] / 1000).astype(int)
    assert "".join("?rgb"[value] for value in values.flat) == picture.metadata.camera.pattern


def test_a_linear_dng_is_refused():
    pytest.importorskip("rawpy")
    with pytest.raises(UnsupportedImageError, match="no mosaic in it"):
        read_picture(linear_dng(noise(32, 40, 3, dtype="uint16")), camera_raw=True)


def test_damaged_and_oversized_files_are_refused():
    pytest.importorskip("rawpy")
    data = bayer_dng(MOSAIC)
    for length in (20, 300, 1000, len(data) - 10):
        with pytest.raises((UnreadableImageError, UnsupportedImageError)):
            read_picture(data[:length], camera_raw=True)
    with pytest.raises(ImageTooLargeError, match="62 x 41 pixels"):
        read_picture(data, camera_raw=True, max_pixels=1000)


def test_a_tiff_with_the_name_of_a_raw_file_goes_to_libraw(tmp_path):
    pytest.importorskip("rawpy")
    data = bayer_dng(MOSAIC)
    for name in ("photo.dng", "photo.DNG", "photo.tif"):
        (tmp_path / name).write_bytes(data)
        assert read_picture(tmp_path / name, camera_raw=True).metadata.camera is not None
    (tmp_path / "empty.dng").write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"empty\.dng: the file is empty"):
        read_picture(tmp_path / "empty.dng", camera_raw=True)


def test_raw_files_are_refused_without_camera_raw():
    with pytest.raises(UnsupportedImageError, match="restorekit demosaic"):
        read_picture(bayer_dng(MOSAIC))


def test_without_rawpy_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'restorekit\[raw\]'"):
        read_picture(bayer_dng(MOSAIC), camera_raw=True)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"raw_pattern": np.zeros((6, 6), np.uint8)}, "X-Trans"),
        ({"raw_pattern": None}, "Foveon"),
        ({"raw_pattern": np.zeros((1, 1), np.uint8)}, "without a Bayer pattern"),
        ({"raw_pattern": np.zeros((4, 4), np.uint8)}, "without a Bayer pattern"),
        ({"color_desc": b"GMCY"}, "without a Bayer pattern"),
        ({"camera_whitebalance": (0, 0, 0, 0), "daylight_whitebalance": (0, 0, 0, 0)}, "without white balance"),
    ],
)
def test_sensors_without_a_bayer_pattern_or_balance_are_refused(sensor, attributes, message):
    with pytest.raises(UnsupportedImageError, match=message):
        sensor(**attributes)


def test_white_must_lie_above_black(sensor):
    with pytest.raises(UnreadableImageError, match="white at 100 and black at 100"):
        sensor(white_level=100)


def test_missing_balance_and_colours_are_replaced_with_a_note(sensor):
    picture = sensor()
    assert picture.metadata.camera.white_balance == (2.0, 1.0, 1.5)
    assert np.unique(picture.pixels) == [round(65535 / 2)]
    picture = sensor(camera_whitebalance=(0.0, 0.0, 0.0, 0.0), color_matrix=np.zeros((3, 4)))
    assert picture.metadata.camera.white_balance == pytest.approx((2, 1, 1.4 / 0.95))
    assert picture.metadata.camera.to_srgb == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert any("daylight" in note for note in picture.notes)
    assert any("does not know the camera's colours" in note for note in picture.notes)


def test_odd_margins_shift_the_pattern(sensor):
    sizes = SimpleNamespace(width=8, height=8, top_margin=3, left_margin=2, flip=0)
    assert sensor(sizes=sizes).metadata.camera.pattern == "gbrg"
