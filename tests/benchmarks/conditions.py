"""What benchmarks run under: so many threads, on so many images of a folder, with which models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from restorekit.image import supported_suffixes
from restorekit.inference.runner import RunSettings
from restorekit.restore.denoise import TASK, DenoiseArray
from restorekit.types import Quality
from restorekit.zoo import LoadedModel, default_model, specialists
from restorekit.zoo.selection import ModelSelection

SPARSE_CODING = {1: "denoise-gray-sc", 3: "denoise-color-sc"}


def limit_threads(count: int) -> None:
    """Let the process use `count` cores, whatever its libraries make of the others, where the system can do that."""
    torch.set_num_threads(count)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:count])


def images_in(folder: Path) -> list[Path]:
    """The images of a folder and its subfolders, in the order of their paths."""
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in supported_suffixes)
    if not images:
        raise SystemExit(f"{folder}: no images in it")
    return images


@contextmanager
def folder_of(images: Sequence[Path], name: str) -> Iterator[Path]:
    """A folder of that name with copies of the images, in their order, for as long as the context lasts."""
    with TemporaryDirectory() as parent:
        chosen = Path(parent) / name
        chosen.mkdir()
        for index, path in enumerate(images):
            shutil.copyfile(path, chosen / f"{index:04d}-{path.name}")
        yield chosen


@contextmanager
def every_nth_image(folder: Path, step: int) -> Iterator[Path]:
    """A folder of the same name with every `step`-th of the images, for as long as the context lasts."""
    with folder_of(images_in(folder)[::step], folder.resolve().name) as chosen:
        yield chosen


def models_to_compare(channels: int) -> tuple[str, ...]:
    """The default model to denoise, the one of sparse coding alone, and those that are better at some levels."""
    better = specialists(TASK).get(channels, {})
    return tuple(dict.fromkeys((default_model(TASK, channels), SPARSE_CODING[channels], *better)))


def at_every_quality(model: LoadedModel) -> tuple[DenoiseArray, ...]:
    """The model as methods to measure, the best quality first."""
    choice = ModelSelection(TASK, model)
    return tuple(DenoiseArray(choice, RunSettings(quality, "cpu")) for quality in reversed(Quality))
