"""How methods are measured, whatever the task: clean images are degraded, restored and scored."""

import importlib.metadata
import itertools
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
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
from restorekit.pages.figures import Region, most_detailed_window, to_8_bits
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
class CropSettings:
    """How many crops a report shows, and their side in pixels."""

    count: int = 4
    size: int = 128


@dataclass(frozen=True)
class CleanImage:
    """An image to measure with.

    name: its path within the folder. load: returns [H, W] or [H, W, 3] in [0, 1], or complex [H, W] with magnitudes up
    to 1; raises ImageError for an image of no use.
    """

    name: str
    path: Path
    load: Callable[[], NDArray[Any]]

    def read(self) -> NDArray[Any]:
        """Return the image. Raises ImageError if it is of no use, or too small for SSIM."""
        clean = self.load()
        if min(clean.shape[:2]) < SSIM_WINDOW:
            size, least = f"{clean.shape[1]}x{clean.shape[0]}", f"{SSIM_WINDOW}x{SSIM_WINDOW}"
            raise UnsupportedImageError(f"{size} pixels, but SSIM needs at least {least}")
        return clean


def clean_pictures(folder: Path, benchmark: Benchmark[Any], max_pixels: int | None) -> list[CleanImage]:
    """Return the pictures of a folder, by path, searched recursively. Raises DatasetError for no folder or pictures."""
    if not folder.is_dir():
        raise DatasetError(f"{show_path(folder)}: no such folder")
    paths = _paths(folder, supported_suffixes)
    if not paths:
        raise DatasetError(f"{show_path(folder)}: no images in it; known are {', '.join(sorted(supported_suffixes))}")

    def load(path: Path) -> NDArray[Any]:
        return benchmark.clean(read_picture(path, max_pixels=max_pixels))

    return [CleanImage(path.relative_to(folder).as_posix(), path, partial(load, path)) for path in paths]


def clean_slices(folder: Path) -> list[CleanImage] | None:
    """Return the slices of a folder, each divided by its greatest magnitude; None if it has pictures, or no .npy files.

    Files hold complex slices, or real and imaginary part as [slices, 2, H, W]. Raises ImageError for another file.
    """
    paths = _paths(folder, {SLICES_SUFFIX})
    if not paths or _paths(folder, supported_suffixes):
        return None
    return [
        CleanImage(f"{path.relative_to(folder).as_posix()}[{number}]", path, partial(_slice, parts))
        for path in paths
        for number, parts in enumerate(read_slices(path))
    ]


def _slice(parts: NDArray[Any]) -> NDArray[Any]:
    values = parts[0].astype(np.float32) + np.complex64(1j) * parts[1].astype(np.float32)
    peak = np.abs(values).max()
    if peak == 0:
        raise UnsupportedImageError("a slice of zeros")
    return np.asarray(values / peak)


def _paths(folder: Path, suffixes: Set[str]) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())


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
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Evaluation:
    """Degrade each image of a folder, restore it by each method, compare with the clean image.

    folder: searched recursively, in the order of the paths. methods: by name. seed: with an image's place in the order,
    the seed of its random numbers. device: where the caller runs the methods, and notes: remarks on them, for the
    record. max_pixels: replaces the limit on the size of an image. crops: kept for `write_report`. progress: called
    after each run with the number of finished runs, that of all, and the name of the image. `skipped` of the result
    names images that cannot be read or used, or are smaller than SSIM's window.

    Raises DatasetError for no folder or no usable image in it; UsageError for no methods, no conditions, two alike, or
    a negative seed.
    """
    slices = clean_slices(folder) if benchmark.takes_slices else None
    benchmark.prepare(seed, slices=slices is not None)
    if not methods:
        raise UsageError("no methods to evaluate; name a model or a baseline")
    labels = [benchmark.describe(condition).label for condition in benchmark.conditions]
    if not labels or len(set(benchmark.conditions)) < len(labels):
        raise UsageError(f"conditions to evaluate under must be different ones, not: {', '.join(labels) or 'none'}")
    if seed < 0:
        raise UsageError(f"a seed must be 0 or more, not {seed}")
    images = slices or clean_pictures(folder, benchmark, max_pixels)
    bench = _Bench(benchmark, methods, crops)
    runs, skipped = len(methods) * len(benchmark.conditions), []
    for index, image in enumerate(images):
        try:
            clean = image.read()
        except ImageError as error:
            skipped.append(Skipped(image.name, str(error).removeprefix(f"{show_path(image.path)}: ")))
            progress((index + 1) * runs, len(images) * runs, image.name)
            continue
        # One number out of two, so that neighbouring pairs give unrelated noise.
        image_seed = int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
        try:
            for done in bench.measure(image.name, clean, image_seed):
                progress(index * runs + done, len(images) * runs, image.name)
        except ModelMismatchError as error:
            raise ModelMismatchError(f"{show_path(image.path)}: {error}") from error
    if len(skipped) == len(images):
        first = f"none of the {len(images)} images can be used; the first: {skipped[0].reason}"
        raise DatasetError(f"{show_path(folder)}: {first}")
    results = [
        MethodResult(name, benchmark.describe(condition), tuple(scores))
        for (name, condition), scores in bench.scores.items()
    ]
    return Evaluation(
        task=benchmark.task.name,
        axis=benchmark.axis,
        dataset=folder.resolve().name,
        protocol=f"{benchmark.protocol} {SCORING}",
        seed=seed,
        device=device,
        versions=_versions(benchmark, methods),
        untouched=benchmark.untouched,
        notes=tuple(notes),
        results=tuple(results),
        skipped=tuple(skipped),
        crops=tuple(crop for _, crop in bench.crops),
    )


class _Bench:
    """The scores so far, by method and condition, and crops of the most detailed images."""

    def __init__(self, benchmark: Benchmark[Any], methods: Mapping[str, Method], settings: CropSettings) -> None:
        self._benchmark, self._methods, self._settings = benchmark, methods, settings
        pairs = itertools.product(methods, benchmark.conditions)
        self.scores: dict[tuple[str, Any], list[Score]] = {pair: [] for pair in pairs}
        self._warm: set[int] = set()
        self.crops: list[tuple[float, Crop]] = []

    def measure(self, name: str, clean: NDArray[Any], seed: int) -> Iterator[int]:
        """Score every method under every condition on one image, a complex one by its magnitude; count the runs."""
        self._warm_up(clean)
        benchmark, count = self._benchmark, self._settings.count
        visible, done = np.abs(clean), 0
        region = most_detailed_window(visible, self._settings.size)
        wanted = len(self.crops) < count or (count > 0 and region.detail > self.crops[-1][0])
        # The method that does nothing may be among the others, and then has panels already.
        untouched = None if benchmark.untouched in self._methods else benchmark.untouched
        panels: list[Panel] = []
        for condition in benchmark.conditions:
            shown, observed = benchmark.describe(condition), benchmark.degrade(clean, condition, seed)
            if wanted and untouched is not None:
                estimate = np.clip(benchmark.baseline(untouched)(observed, condition), 0, 1)
                panels.append(_panel(untouched, shown, estimate, visible, region))
            for method_name, method in self._methods.items():
                estimate, score = _score(method, name, observed, condition, visible)
                self.scores[method_name, condition].append(score)
                if wanted:
                    panels.append(_panel(method_name, shown, estimate, visible, region))
                done += 1
                yield done
        if wanted:
            crop = Crop(name, region.left, region.top, to_8_bits(region.cut(visible)), tuple(panels))
            self.crops.append((region.detail, crop))
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


def _panel(method: str, condition: Condition, estimate: Image, clean: Image, region: Region) -> Panel:
    shown = region.cut(estimate)
    return Panel(method, condition, to_8_bits(shown), psnr(estimate, clean), psnr(shown, region.cut(clean)))


def _versions(benchmark: Benchmark[Any], methods: Mapping[str, Method]) -> tuple[tuple[str, str], ...]:
    used = [one.package for name, one in benchmark.baselines.items() if name in methods and one.package]
    names = importlib.metadata.packages_distributions() if used else {}
    packages = ["torch", "numpy", "scikit-image", *{name: None for package in used for name in names.get(package, ())}]
    found = [(package, importlib.metadata.version(package)) for package in packages]
    return (("restorekit", __version__), ("python", platform.python_version()), *found)
