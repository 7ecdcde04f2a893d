"""Conditions of benchmarks: so many threads, so many images of a folder, and which models, as methods to measure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from restorekit.image import supported_suffixes
from restorekit.tasks import get_task
from restorekit.tasks.base import Benchmark, Run
from restorekit.types import Quality, RunSettings
from restorekit.zoo import LoadedModel

Image = npt.NDArray[np.float32]
Method = Callable[[Image, Any], npt.NDArray[Any]]
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
    """The default model to denoise, the one of sparse coding alone, and those that are better at some noise levels."""
    models = get_task("denoise").models
    specialists = models.specialists.get(channels, ())
    return tuple(dict.fromkeys((models.general[channels], SPARSE_CODING[channels], *specialists)))


def benchmark_of(task_name: str, **options: object) -> Benchmark[Any]:
    """The benchmark of a task; options are those of `restorekit eval TASK`."""
    task = get_task(task_name)
    assert task.benchmark is not None
    made = task.benchmark(task.benchmark.Options(**options))
    made.task = task
    return made


def noise_of(sigma: float) -> Benchmark[float]:
    """The benchmark of denoising at one noise level on the scale 0..255."""
    return benchmark_of("denoise", sigma=[str(sigma)])


class Ours:
    """Models of a task as a method of its benchmark, on the CPU."""

    def __init__(
        self, benchmark: Benchmark[Any], model: LoadedModel | str | None, quality: Quality = Quality.BALANCED
    ) -> None:
        """`model` is a loaded one, or a name; None stands for the default models."""
        self.benchmark, self.quality = benchmark, quality
        self.run = Run(benchmark.task.select(None, model), RunSettings(quality, "cpu"))
        self.name, self.series = benchmark.method_name(self.run), self.run.models.name

    def __call__(self, observed: Image, condition: Any) -> Image:
        """The estimate of a clean image."""
        return self.benchmark.restore(observed, condition, self.run)


def at_every_quality(benchmark: Benchmark[Any], model: LoadedModel | str | None) -> tuple[Ours, ...]:
    """The models as methods to measure, the best quality first."""
    return tuple(Ours(benchmark, model, quality) for quality in reversed(Quality))
