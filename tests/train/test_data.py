from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.errors import DatasetError
from restorekit.image import Metadata, Picture, read_picture, write_picture
from restorekit.physics.jpeg import rgb_to_ycbcr
from restorekit.train.data import load_split, random_crops


def test_training_and_validation_share_no_image(photographs: Path) -> None:
    split = load_split(photographs, channels=1, least_size=17, validation_every=4)
    assert (len(split.training), len(split.validation)) == (6, 2)
    for image in split.validation:
        assert not any(torch.equal(image, other) for other in split.training)


def test_crops_are_pieces_of_the_images_turned_or_flipped() -> None:
    image = torch.arange(20 * 20, dtype=torch.uint8).reshape(1, 20, 20)
    crops = random_crops([image], 20, 64, torch.Generator().manual_seed(0)) * 255
    ways = {tuple(crop.round().int().flatten().tolist()) for crop in crops}
    expected = set()
    for turns in range(4):
        for flip in (False, True):
            turned = torch.rot90(image, turns, (1, 2))
            turned = turned.flip(2) if flip else turned
            expected.add(tuple(turned.int().flatten().tolist()))
    assert ways == expected


def test_crops_of_pictures_made_smaller_hold_more_of_them() -> None:
    """A ramp of one grey level a pixel becomes one of up to two levels a pixel, whatever the turn."""
    ramp = torch.arange(80, dtype=torch.uint8).expand(1, 80, 80).contiguous()
    crops = random_crops([ramp], 30, 64, torch.Generator().manual_seed(0), shrink=0.5) * 255
    assert crops.shape == (64, 1, 30, 30)
    middle = crops[..., 5:25, 5:25]
    slopes = torch.maximum(*(middle.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)))
    assert 1 - 1e-3 <= slopes.min() < 1.2
    assert 1.8 < slopes.max() <= 2.1


def test_crops_of_pictures_made_larger_hold_less_of_them() -> None:
    ramp = torch.arange(80, dtype=torch.uint8).expand(1, 80, 80).contiguous()
    crops = random_crops([ramp], 30, 64, torch.Generator().manual_seed(0), shrink=0.5, enlarge=2.0) * 255
    middle = crops[..., 5:25, 5:25]
    slopes = torch.maximum(*(middle.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)))
    assert 0.45 < slopes.min() < 0.6
    assert 1.6 < slopes.max() <= 2.1


def test_no_picture_is_made_too_small_for_a_crop() -> None:
    picture = torch.full((1, 31, 50), 40, dtype=torch.uint8)
    crops = random_crops([picture], 30, 8, torch.Generator().manual_seed(0), shrink=0.1)
    torch.testing.assert_close(crops, torch.full((8, 1, 30, 30), 40 / 255))


def test_colour_teaches_a_grey_model_but_grey_no_colour_model(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for index in range(2):
        write_picture(tmp_path / f"{index}.png", Picture(pixels, Metadata("png")), overwrite=False)
    split = load_split(tmp_path, channels=1, least_size=17, validation_every=2)
    luma = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(split.training[0][0].numpy() - luma).max() <= 1
    write_picture(tmp_path / "grey.png", Picture(pixels[..., 0], Metadata("png")), overwrite=False)
    with pytest.raises(DatasetError, match=r"grey\.png"):
        load_split(tmp_path, channels=3, least_size=17, validation_every=2)


def test_chroma_is_that_of_the_colour_pictures_to_train_on(tmp_path: Path) -> None:
    """Blocks of 4x4 equal pixels keep their Cb and Cr; small and grey pictures and those to validate give none."""
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, (20, 22, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        write_picture(tmp_path / f"{index}.png", Picture(pixels, Metadata("png")), overwrite=False)
    write_picture(tmp_path / "3.png", Picture(pixels[..., 0].copy(), Metadata("png")), overwrite=False)
    write_picture(tmp_path / "0-small.png", Picture(pixels[:16, :16], Metadata("png")), overwrite=False)
    split = load_split(tmp_path, channels=1, least_size=17, validation_every=2, chroma=True)
    assert (len(split.training), len(split.validation), len(split.chroma)) == (2, 2, 2)
    second = read_picture(tmp_path / "1.png").pixels[::4, ::4].astype(np.float32)
    expected = rgb_to_ycbcr(second / 255)[..., 1:] * 255
    for plane, truth in zip(split.chroma, np.moveaxis(expected, 2, 0), strict=True):
        assert np.abs(plane[0].numpy() - truth).max() <= 1
    assert not load_split(tmp_path, channels=1, least_size=17, validation_every=2).chroma


def test_without_colour_there_is_no_chroma_to_learn(photographs: Path) -> None:
    with pytest.raises(DatasetError, match="no colour pictures"):
        load_split(photographs, channels=1, least_size=17, validation_every=4, chroma=True)


@pytest.mark.parametrize("least_size", [17, 41])
def test_a_folder_without_enough_pictures_is_refused(tmp_path: Path, photographs: Path, least_size: int) -> None:
    folder = tmp_path / "empty" if least_size == 17 else photographs
    folder.mkdir(exist_ok=True)
    with pytest.raises(DatasetError, match=str(least_size)):
        load_split(folder, channels=1, least_size=least_size, validation_every=4)
    with pytest.raises(DatasetError, match="not a folder"):
        load_split(tmp_path / "nowhere", channels=1, least_size=17, validation_every=4)


def test_an_unreadable_picture_is_named(photographs: Path) -> None:
    (photographs / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"bad\.png"):
        load_split(photographs, channels=1, least_size=17, validation_every=4)
