"""Each batch follows from the seed, the process and the step alone."""

import multiprocessing
import os
import signal
from contextlib import closing

import pytest
import torch

from restorekit import train
from restorekit.errors import DatasetError, TrainingError
from restorekit.models import Measurement, build
from restorekit.train import data as batches
from restorekit.train.data import Batches, Split, step_generator

CPU = torch.device("cpu")


def batches_of(name: str, rank: int = 0) -> Batches:
    recipe = train.load_recipe(name)
    channels = build(recipe.architecture, recipe.settings).channels
    generator = torch.Generator().manual_seed(0)

    def pictures(channels: int) -> list[torch.Tensor]:
        return [torch.randint(256, (channels, 192, 200), dtype=torch.uint8, generator=generator) for _ in range(2)]

    return Batches(recipe, Split(pictures(channels), [], pictures(1)), rank)


def tensors(observed: Measurement) -> list[torch.Tensor]:
    found = vars(observed).values()
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
def test_any_degradation_may_be_drawn_in_another_process(name: str) -> None:
    drawn = batches_of(name)
    clean, observed = drawn[3]
    with closing(drawn.from_step(3, 1, CPU)) as batches_elsewhere:
        elsewhere, also = next(batches_elsewhere)
    assert torch.equal(clean, elsewhere)
    assert len(tensors(observed)) >= 2
    for ours, theirs in zip(tensors(observed), tensors(also), strict=True):
        assert torch.equal(ours, theirs)


def test_what_goes_wrong_elsewhere_is_raised_here_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object) -> None:
        raise DatasetError("nothing to draw from")

    monkeypatch.setattr(batches, "draw_batch", draw)
    for workers in (0, 1):
        with pytest.raises(DatasetError, match=r"^nothing to draw from$"):
            next(batches_of("denoise-gray-sc").from_step(0, workers, CPU))
        assert not multiprocessing.active_children()


def test_a_process_that_is_killed_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "draw_batch", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TrainingError, match=r"killed or got stuck.*fewer --workers"):
        next(batches_of("denoise-gray-sc").from_step(0, 1, CPU))


def test_where_processes_cannot_be_copied_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches.multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    drawn = batches_of("denoise-gray-sc")
    assert batches._default_workers(torch.device("cuda")) == 0
    assert torch.equal(next(drawn.from_step(3, None, CPU))[0], drawn[3][0])
    with pytest.raises(TrainingError, match="use --workers 0"):
        next(drawn.from_step(3, 2, CPU))


def test_a_gpu_gets_a_worker_for_each_other_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches.os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert batches._default_workers(torch.device("cuda")) == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert batches._default_workers(torch.device("cuda")) == 2
    assert batches._default_workers(CPU) == 0


def test_steps_processes_and_purposes_have_random_numbers_of_their_own() -> None:
    recipe = train.load_recipe("denoise-gray-sc")
    keys = [(rank, step, purpose) for rank in (0, 1) for step in (0, 1) for purpose in (0, 1)]
    drawn = {float(torch.rand((), generator=step_generator(recipe, *key))) for key in keys}
    assert len(drawn) == len(keys)
    assert drawn == {float(torch.rand((), generator=step_generator(recipe, *key))) for key in keys}
