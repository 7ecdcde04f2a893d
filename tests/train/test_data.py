"""Training data: what is read from a folder, and the batches that are drawn from it."""

import multiprocessing
import os
import signal
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit import train
from restorekit.errors import DatasetError, TrainingError
from restorekit.image import Metadata, Picture, read_picture, write_picture
from restorekit.models import Measurement, build
from restorekit.physics.jpeg import rgb_to_ycbcr, rms_error
from restorekit.train import data
from restorekit.train.data import Batches, Split, draw_batch, load_split, random_crops, step_generator

NOISE = "[noise]\nlow = 5\nhigh = 75\npower = 1.5\n"
CPU = torch.device("cpu")


def test_training_and_validation_share_no_image(photographs: Path) -> None:
    split = load_split(photographs, channels=1, least_size=17, validation_every=4)
    assert (len(split.training), len(split.validation)) == (6, 2)
    for image in split.validation:
        assert not any(torch.equal(image, other) for other in split.training)


def test_crops_are_pieces_of_the_images_rotated_or_flipped() -> None:
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


def test_crops_of_a_shrunk_picture_hold_more_of_it() -> None:
    """A ramp of one grey value a pixel becomes one of up to two grey values a pixel, whatever the rotation."""
    ramp = torch.arange(80, dtype=torch.uint8).expand(1, 80, 80).contiguous()
    crops = random_crops([ramp], 30, 64, torch.Generator().manual_seed(0), shrink=0.5) * 255
    assert crops.shape == (64, 1, 30, 30)
    middle = crops[..., 5:25, 5:25]
    slopes = torch.maximum(*(middle.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)))
    assert 1 - 1e-3 <= slopes.min() < 1.2
    assert 1.8 < slopes.max() <= 2.1


def test_crops_of_an_enlarged_picture_hold_less_of_it() -> None:
    ramp = torch.arange(80, dtype=torch.uint8).expand(1, 80, 80).contiguous()
    crops = random_crops([ramp], 30, 64, torch.Generator().manual_seed(0), shrink=0.5, enlarge=2.0) * 255
    middle = crops[..., 5:25, 5:25]
    slopes = torch.maximum(*(middle.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)))
    assert 0.45 < slopes.min() < 0.6
    assert 1.6 < slopes.max() <= 2.1


def test_no_picture_is_shrunk_below_the_size_of_a_crop() -> None:
    picture = torch.full((1, 31, 50), 40, dtype=torch.uint8)
    crops = random_crops([picture], 30, 8, torch.Generator().manual_seed(0), shrink=0.1)
    torch.testing.assert_close(crops, torch.full((8, 1, 30, 30), 40 / 255))


def test_colour_pictures_train_a_grey_model_but_grey_ones_no_colour_model(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for index in range(2):
        write_picture(tmp_path / f"{index}.png", Picture(pixels, Metadata("png")), overwrite=False)
    split = load_split(tmp_path, channels=1, least_size=17, validation_every=2)
    luma = np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(split.training[0][0].numpy() - luma).max() <= 1
    write_picture(tmp_path / "grey.png", Picture(pixels[..., 0], Metadata("png")), overwrite=False)
    with pytest.raises(DatasetError, match=r"grey\.png"):
        load_split(tmp_path, channels=3, least_size=17, validation_every=2)


def test_chroma_comes_from_the_colour_pictures_for_training(tmp_path: Path) -> None:
    """Blocks of 4x4 equal pixels keep their Cb and Cr; small and grey pictures and those for validation give none."""
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


def test_chroma_needs_colour_pictures(photographs: Path) -> None:
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


def test_a_share_of_the_steps_sees_chroma_with_the_error_of_chroma(recipe_file: Path) -> None:
    """Luma is dark here, and chroma bright."""
    jpeg = "[jpeg]\nlow = 20\nhigh = 21\nchroma = 0.25\n"
    recipe_file.write_text(recipe_file.read_text().replace(NOISE, jpeg))
    recipe = train.load_recipe(str(recipe_file))
    assert recipe.degradation.needs_chroma
    dark, bright = torch.full((1, 24, 24), 20, dtype=torch.uint8), torch.full((1, 20, 20), 200, dtype=torch.uint8)
    sources = recipe.degradation.sources(Split([dark], [dark], [bright]))
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(400):
        clean, measurement = draw_batch(sources, recipe, generator)
        chroma = bool((clean > 0.5).all())
        assert chroma or bool((clean < 0.5).all())
        errors = torch.tensor([rms_error(quality, chroma=chroma) for quality in (20, 21)])
        assert bool(torch.isin(measurement.conditioning, errors).all())
        seen.append(chroma)
    assert 0.2 < sum(seen) / len(seen) < 0.3


def test_with_one_source_no_random_number_chooses_between_sources(recipe_file: Path) -> None:
    recipe = train.load_recipe(str(recipe_file))
    image = torch.arange(24 * 24).remainder(256).to(torch.uint8).reshape(1, 24, 24)
    sources = recipe.degradation.sources(Split([image], [image]))
    assert not recipe.degradation.needs_chroma
    assert [source.share for source in sources] == [1.0]
    one, other = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    clean, measurement = draw_batch(sources, recipe, one)
    expected = random_crops([image], 17, 2, other)
    torch.testing.assert_close(clean, expected)
    torch.testing.assert_close(measurement.x0, recipe.degradation.draw(expected, other).x0)
    assert torch.equal(one.get_state(), other.get_state())


def batches_of(name: str, rank: int = 0) -> Batches:
    recipe = train.load_recipe(name)
    channels = build(recipe.architecture, recipe.settings).channels
    generator = torch.Generator().manual_seed(0)

    def pictures(channels: int) -> list[torch.Tensor]:
        return [torch.randint(256, (channels, 192, 200), dtype=torch.uint8, generator=generator) for _ in range(2)]

    return Batches(recipe, Split(pictures(channels), [], pictures(1)), rank)


def tensors(measurement: Measurement) -> list[torch.Tensor]:
    found = vars(measurement).values()
    return [value for value in found if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize(
    "name",
    [
        "denoise-gray-sc",
        "demosaic-color-unet",
        "deblock-gray-unet",
        "deblur-color-admm",
        "cs-mri-sc",
        "superres-color-enlarger",
    ],
)
def test_every_degradation_can_be_drawn_in_another_process(name: str) -> None:
    drawn = batches_of(name)
    clean, measurement = drawn[3]
    with closing(drawn.from_step(3, 1, CPU)) as batches_elsewhere:
        elsewhere, same = next(batches_elsewhere)
    assert torch.equal(clean, elsewhere)
    assert len(tensors(measurement)) >= 2
    for ours, theirs in zip(tensors(measurement), tensors(same), strict=True):
        assert torch.equal(ours, theirs)


def test_an_error_in_another_process_is_raised_here_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object) -> None:
        raise DatasetError("nothing to draw from")

    monkeypatch.setattr(data, "draw_batch", draw)
    for workers in (0, 1):
        with pytest.raises(DatasetError, match=r"^nothing to draw from$"):
            next(batches_of("denoise-gray-sc").from_step(0, workers, CPU))
        assert not multiprocessing.active_children()


def test_a_killed_process_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "draw_batch", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TrainingError, match=r"killed or got stuck.*fewer --workers"):
        next(batches_of("denoise-gray-sc").from_step(0, 1, CPU))


def test_systems_that_cannot_copy_processes_draw_batches_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    drawn = batches_of("denoise-gray-sc")
    assert data._default_workers(torch.device("cuda")) == 0
    assert torch.equal(next(drawn.from_step(3, None, CPU))[0], drawn[3][0])
    with pytest.raises(TrainingError, match="use --workers 0"):
        next(drawn.from_step(3, 2, CPU))


def test_a_gpu_gets_a_worker_for_each_other_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert data._default_workers(torch.device("cuda")) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert data._default_workers(torch.device("cuda")) == 2
    assert data._default_workers(CPU) == 0


def test_steps_processes_and_purposes_have_random_numbers_of_their_own() -> None:
    recipe = train.load_recipe("denoise-gray-sc")
    keys = [(rank, step, purpose) for rank in (0, 1) for step in (0, 1) for purpose in (0, 1)]
    drawn = {float(torch.rand((), generator=step_generator(recipe, *key))) for key in keys}
    assert len(drawn) == len(keys)
    assert drawn == {float(torch.rand((), generator=step_generator(recipe, *key))) for key in keys}
