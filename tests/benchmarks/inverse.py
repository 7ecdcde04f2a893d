"""Seconds per megapixel of deblur, superres and cs-mri beside the baselines of scikit-image and SigPy, as ratios.

    python -m tests.benchmarks.inverse [--threads 2] [--size 480x320] [--slice 256] [--repeats 3] [--model NAME ...]

A colour image is blurred by a Gaussian of sigma 2 with noise of 2.55, downsampled by 2, 3 and 4, and a grey slice is
sampled radially by 30 %. The models are the defaults of each task unless some are named, which are used for the tasks
they were made for, denoisers for all. The methods of a task take turns, and the median over the turns is reported, for
megapixels of the result: a busy machine slows all alike. SigPy is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from skimage import data
from skimage.transform import resize

import restorekit
from restorekit.errors import MissingExtraError, ModelMismatchError
from restorekit.physics.kspace import DrawnMask, Sampling
from restorekit.tasks.base import Benchmark
from restorekit.tasks.cs_mri import KspaceMask
from restorekit.types import Quality, SamplingPattern
from tests.benchmarks.conditions import Ours, benchmark_of, limit_threads

SCALES = (2, 3, 4)
REFERENCES = ("richardson-lucy", "unsupervised-wiener", "sigpy-tv", "sigpy-wavelet")

Run = Callable[[], object]


@dataclass(frozen=True)
class Trial:
    """What is timed: a title, the methods by name, and megapixels of the result."""

    title: str
    methods: Mapping[str, Run]
    megapixels: float


def deblurring(image: np.ndarray, models: list[str | None]) -> Trial:
    methods = _methods(benchmark_of("deblur"), image, 2.55 / 255, models)
    return Trial("deblur", methods, image[..., 0].size / 1e6)


def enlarging(image: np.ndarray, models: list[str | None], scale: int) -> Trial:
    height, width = (side - side % 12 for side in image.shape[:2])
    cut = np.ascontiguousarray(image[:height, :width])
    methods = _methods(benchmark_of("superres", scale=[scale]), cut, scale, models)
    return Trial(f"superres x{scale}", methods, height * width / 1e6)


def reconstructing(slice_: np.ndarray, models: list[str | None]) -> Trial:
    mask = KspaceMask("radial:0.3", DrawnMask(Sampling(SamplingPattern.RADIAL, 0.3), 0))
    methods = _methods(benchmark_of("cs-mri", sampling=[mask.name]), slice_, mask, models)
    return Trial("cs-mri", methods, slice_.size / 1e6)


def _methods(
    benchmark: Benchmark[Any], clean: np.ndarray, condition: object, models: list[str | None]
) -> dict[str, Run]:
    """Baselines that are installed, and models that fit at every quality, on one observation."""
    observed = benchmark.degrade(clean, condition, 0)
    methods: dict[str, Run] = {}
    for name in benchmark.baselines:
        if name != benchmark.untouched or benchmark.task.name == "cs-mri":
            with suppress(MissingExtraError):
                methods[name] = partial(benchmark.baseline(name), observed, condition)
    for model in models:
        for quality in Quality:
            with suppress(ModelMismatchError):
                method = Ours(benchmark, model, quality)
                if clean.ndim == 3:
                    method.run.models.fitting(3)
                methods[method.name] = partial(method, observed, condition)
    return methods


def measure(trial: Trial, repeats: int) -> None:
    """Print the median seconds per megapixel of each method, and the ratios to those of `REFERENCES`."""
    seconds: dict[str, list[float]] = {name: [] for name in trial.methods}
    for turn in range(repeats + 1):
        for name, run in trial.methods.items():
            started = time.perf_counter()
            run()
            if turn:  # The first turn warms up.
                seconds[name].append(time.perf_counter() - started)
    medians = {name: median(times) / trial.megapixels for name, times in seconds.items()}
    references = [name for name in REFERENCES if name in medians]
    print(f"\n{trial.title}, {trial.megapixels:.3f} megapixels")
    print(f"  {'':38} {'s / MP':>9}" + "".join(f"  / {name}" for name in references))
    for name, took in medians.items():
        ratios = "".join(f"{took / medians[one]:{len(one) + 4}.2f}" for one in references)
        print(f"  {name:38} {took:9.3f}{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="480x320")
    parser.add_argument("--slice", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", action="append", metavar="NAME")
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    width, height = map(int, arguments.size.split("x"))
    photograph = resize(data.astronaut(), (height, width)).astype(np.float32)
    slice_ = resize(data.shepp_logan_phantom(), (arguments.slice, arguments.slice)).astype(np.float32)
    models: list[str | None] = arguments.model or [None]
    print(f"restorekit {restorekit.__version__}, {arguments.threads} threads, medians of {arguments.repeats} turns")
    measure(deblurring(photograph, models), arguments.repeats)
    for scale in SCALES:
        measure(enlarging(photograph, models, scale), arguments.repeats)
    measure(reconstructing(slice_, models), arguments.repeats)


if __name__ == "__main__":
    main()
