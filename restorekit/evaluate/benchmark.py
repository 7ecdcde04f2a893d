"""The measurement of methods: clean images degraded, each method's PSNR, SSIM and speed, whatever the task."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit._version import __version__
from restorekit.errors import DatasetError, ImageError, ModelMismatchError, UnsupportedImageError, UsageError
from restorekit.evaluate.results import Crop, Evaluation, MethodResult, Panel, Score, Skipped
from restorekit.image import read_picture, show_path, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.numerics.metrics import SSIM_WINDOW, psnr, ssim
from restorekit.pages.figures import Window, most_detailed_window, to_8_bits
from restorekit.tasks.base import Benchmark, Condition, Method

Image = NDArray[np.float32]
SCORING = (
    "Every output is clamped to [0, 1]. PSNR is 10 log10(1 / MSE) over all pixels and channels, no border cropped; "
    "SSIM as Wang et al. 2004 (Gaussian window of standard deviation 1.5), averaged over channels. Figures are means "
    "over images. Seconds are of the method alone, after one call on a small crop."
)
"""How outputs are scored; every protocol ends with it."""
WARM_UP_SIZE = 64


@dataclass(frozen=True)
class CleanImage:
    """An image to measure with.

    name: within its folder. path: of its file. read: gives [H, W] or [H, W, 3] in [0, 1], or complex [H, W] of
    magnitudes up to 1; raises ImageError if it is of no use.
    """

    name: str
    path: Path
    read: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class CropSettings:
    """How many crops to keep for a report, and their side in pixels."""

    count: int = 4
    size: int = 128


def clean_pictures(folder: Path, benchmark: Benchmark[Any], max_pixels: int | None) -> list[CleanImage]:
    """Return the pictures of a folder, searched recursively, in the order of their paths.

    Raises:
        DatasetError: no folder, or no pictures in it.
    """

    def read(path: Path) -> NDArray[Any]:
        return _large_enough(benchmark.clean(read_picture(path, max_pixels=max_pixels)), path)

    paths = _paths(folder, supported_suffixes)
    return [CleanImage(path.relative_to(folder).as_posix(), path, partial(read, path)) for path in paths]


def clean_slices(folder: Path) -> list[CleanImage]:
    """Return the slices of the .npy files of a folder: complex, or of real and imaginary part, [slices, 2, H, W].

    Each is divided by its greatest magnitude.

    Raises:
        DatasetError: no folder, or no such files in it. ImageError: one of them cannot be read.
    """
    images = []
    for path in _paths(folder, {SLICES_SUFFIX}):
        name, slices = path.relative_to(folder).as_posix(), read_slices(path)
        images += [
            CleanImage(f"{name}[{number}]", path, partial(_slice, path, parts)) for number, parts in enumerate(slices)
        ]
    return images


def holds_slices(folder: Path) -> bool:
    """Return whether there are files of slices in a folder, and no pictures."""
    found = {path.suffix.lower() for path in folder.rglob("*") if path.is_file()}
    return SLICES_SUFFIX in found and not found & set(supported_suffixes)


def _slice(path: Path, parts: NDArray[Any]) -> NDArray[Any]:
    values = parts[0].astype(np.float32) + np.complex64(1j) * parts[1].astype(np.float32)
    peak = np.abs(values).max()
    if peak == 0:
        raise UnsupportedImageError(f"{show_path(path)}: a slice of zeros")
    return _large_enough(values / peak, path)


def _large_enough(clean: NDArray[Any], path: Path) -> NDArray[Any]:
    if min(clean.shape[:2]) < SSIM_WINDOW:
        raise UnsupportedImageError(
            f"{show_path(path)}: {clean.shape[1]}x{clean.shape[0]} pixels, "
            f"but SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return clean


def _paths(folder: Path, suffixes: set[str] | frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{show_path(folder)}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise DatasetError(f"{show_path(folder)}: no images in it; known are {', '.join(sorted(suffixes))}")
    return paths


def evaluate_methods(
    folder: Path,
    benchmark: Benchmark[Any],
    methods: Mapping[str, Method],
    *,
    seed: int = 0,
    device: str = "cpu",
    max_pixels: int | None = None,
    crops: CropSettings = CropSettings(),
    notes: Sequence[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, image: None,
) -> Evaluation:
    """Degrade each image of a folder, restore it with each method, compare with the clean image.

    Args:
        folder: clean images, searched recursively, taken in the order of their paths.
        benchmark: how they are degraded, and under which conditions.
        methods: those to compare, by name.
        seed: with an image's place in the order, the seed of random numbers for it.
        device: where the caller runs the methods, for the record.
        max_pixels: replaces the limit on the size of an image.
        crops: kept for `write_report`.
        notes: remarks on the methods, for the record.
        progress: called after each run with how many are over, how many there are, and the name of the image.

    Returns:
        The scores. An image that cannot be read or used, or is smaller than SSIM's window, is named in `skipped`.

    Raises:
        DatasetError: no folder, or no usable image in it.
        UsageError: no methods, no conditions, two alike, or a negative seed.
    """
    slices = benchmark.takes_slices and holds_slices(folder)
    benchmark.prepare(seed, slices=slices)
    _check(benchmark, methods, seed)
    found = clean_slices(folder) if slices else clean_pictures(folder, benchmark, max_pixels)
    bench = _Bench(benchmark, methods, crops)
    runs = len(methods) * len(benchmark.conditions)
    skipped = []
    for index, image in enumerate(found):

        def report(finished: int, before: int = index * runs, name: str = image.name) -> None:
            progress(before + finished, len(found) * runs, name)

        try:
            clean = image.read()
        except ImageError as error:
            skipped.append(Skipped(image.name, str(error).removeprefix(f"{show_path(image.path)}: ")))
            report(runs)
            continue
        try:
            bench.measure(image.name, clean, _image_seed(seed, index), report)
        except ModelMismatchError as error:
            raise ModelMismatchError(f"{show_path(image.path)}: {error}") from error
    if len(skipped) == len(found):
        raise DatasetError(
            f"{show_path(folder)}: none of the {len(found)} images can be used; the first: {skipped[0].reason}"
        )
    return Evaluation(
        task=benchmark.task.name,
        axis=benchmark.axis,
        dataset=folder.resolve().name,
        protocol=f"{benchmark.protocol} {SCORING}",
        seed=seed,
        device=device,
        versions=_versions(methods),
        untouched=benchmark.untouched,
        notes=tuple(notes),
        results=bench.results(),
        skipped=tuple(skipped),
        crops=tuple(crop for _, crop in bench.crops),
    )


class _Bench:
    """The methods and conditions of an evaluation, the scores so far, and crops of the most detailed images."""

    def __init__(self, benchmark: Benchmark[Any], methods: Mapping[str, Method], settings: CropSettings) -> None:
        self._benchmark, self._methods, self._settings = benchmark, methods, settings
        self._scores: dict[tuple[str, Any], list[Score]] = {
            (name, condition): [] for name in methods for condition in benchmark.conditions
        }
        self._warm: set[int] = set()
        self.crops: list[tuple[float, Crop]] = []

    def results(self) -> tuple[MethodResult, ...]:
        return tuple(
            MethodResult(name, self._benchmark.describe(condition), tuple(scores))
            for (name, condition), scores in self._scores.items()
        )

    def measure(self, name: str, clean: NDArray[Any], seed: int, report: Callable[[int], None]) -> None:
        """Score every method under every condition on one image, a complex one by its magnitude."""
        self._warm_up(clean)
        benchmark = self._benchmark
        visible = np.abs(clean)
        window = most_detailed_window(visible, self._settings.size)
        count = self._settings.count
        wanted = len(self.crops) < count or (count > 0 and window.detail > self.crops[-1][0])
        # A method that does nothing may be among the others, and then has panels already.
        untouched = None if benchmark.untouched in self._methods else benchmark.untouched
        panels: list[Panel] = []
        finished = 0
        for condition in benchmark.conditions:
            shown = benchmark.describe(condition)
            observed = benchmark.degrade(clean, condition, seed)
            if wanted and untouched is not None:
                estimate = np.clip(benchmark.baseline(untouched)(observed, condition), 0, 1)
                panels.append(_panel(untouched, shown, estimate, visible, window))
            for method_name, method in self._methods.items():
                estimate, score = _score(method, name, observed, condition, visible)
                self._scores[method_name, condition].append(score)
                if wanted:
                    panels.append(_panel(method_name, shown, estimate, visible, window))
                finished += 1
                report(finished)
        if wanted:
            crop = Crop(name, window.left, window.top, to_8_bits(window.cut(visible)), tuple(panels))
            self.crops.append((window.detail, crop))
            self.crops.sort(key=lambda kept: -kept[0])
            del self.crops[count:]

    def _warm_up(self, clean: NDArray[Any]) -> None:
        """Call each method once, unmeasured, on the first grey and the first colour image: libraries load late."""
        if clean.ndim in self._warm:
            return
        self._warm.add(clean.ndim)
        condition = self._benchmark.conditions[0]
        try:
            observed = self._benchmark.degrade(clean[:WARM_UP_SIZE, :WARM_UP_SIZE].copy(), condition, 0)
        except UnsupportedImageError:  # of one size only, such as a mask in a file
            observed = self._benchmark.degrade(clean, condition, 0)
        for method in self._methods.values():
            method(observed, condition)


def _score(method: Method, name: str, observed: Image, condition: Any, clean: Image) -> tuple[Image, Score]:
    start = time.perf_counter()
    output = method(observed, condition)
    seconds = time.perf_counter() - start
    estimate = np.clip(output, 0, 1)
    megapixels = clean.shape[0] * clean.shape[1] / 1e6
    return estimate, Score(name, psnr(estimate, clean), ssim(estimate, clean), seconds, megapixels)


def _panel(method: str, condition: Condition, estimate: Image, clean: Image, window: Window) -> Panel:
    shown = window.cut(estimate)
    return Panel(method, condition, to_8_bits(shown), psnr(estimate, clean), psnr(shown, window.cut(clean)))


def _check(benchmark: Benchmark[Any], methods: Mapping[str, Method], seed: int) -> None:
    if not methods:
        raise UsageError("no methods to evaluate; name a model or a baseline")
    labels = [benchmark.describe(condition).label for condition in benchmark.conditions]
    if not labels or len(set(benchmark.conditions)) < len(labels):
        raise UsageError(f"conditions to evaluate under must be different ones, not: {', '.join(labels) or 'none'}")
    if seed < 0:
        raise UsageError(f"a seed must be 0 or more, not {seed}")


def _image_seed(seed: int, index: int) -> int:
    """Return one number out of two, such that neighbouring pairs give unrelated noise."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


def _versions(methods: Mapping[str, Method]) -> tuple[tuple[str, str], ...]:
    packages = ["torch", "numpy", "scikit-image"] + ["bm3d"] * ("bm3d" in methods)
    found = [(package, importlib.metadata.version(package)) for package in packages]
    return (("restorekit", __version__), ("python", platform.python_version()), *found)
