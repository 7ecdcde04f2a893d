"""What an evaluation is made of: a degradation, and methods that undo it.

A task is a `Degradation`: how a clean image becomes the observed one, at each of its levels. What is compared are
`Method`s, from the observed image to an estimate of the clean one.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from restorekit._version import __version__
from restorekit.errors import DatasetError, ImageError, ModelMismatchError, UnsupportedImageError, UsageError
from restorekit.evaluate.results import Crop, Evaluation, Level, MethodResult, Panel, Score, Skipped
from restorekit.image import Picture, read_picture, show_path, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.numerics.metrics import SSIM_WINDOW, psnr, ssim
from restorekit.pages.figures import Window, most_detailed_window, to_8_bits

Image = npt.NDArray[np.float32]

_L = TypeVar("_L", bound=Hashable)
_Told = TypeVar("_Told", bound=Hashable, contravariant=True)


class Method(Protocol[_Told]):
    """A method to measure: it is told the level of the degradation."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    def __call__(self, observed: Image, level: _Told, /) -> npt.NDArray[Any]:
        """The observed image and the level it was made with -> an estimate of the shape of the clean image."""
        ...


class Degradation(Protocol[_L]):
    """How clean images are made worse, at several levels: a noise level, a quality factor, a pattern of filters."""

    @property
    def task(self) -> str:
        """What undoes it, one of `zoo.card.TASKS`."""
        ...

    @property
    def axis(self) -> str:
        """What a level is called in JSON: `sigma`, `quality_factor`, `pattern`."""
        ...

    @property
    def protocol(self) -> str:
        """What is done to the images and what is measured, in sentences, for whoever compares the figures."""
        ...

    @property
    def levels(self) -> tuple[_L, ...]:
        """The levels to measure at, all different."""
        ...

    @property
    def untouched(self) -> Method[_L] | None:
        """The method that does nothing, to show what was observed; None if that has not the shape of a clean image."""
        ...

    def prepare(self, picture: Picture) -> Image:
        """The clean image [H, W] or [H, W, 3], values in [0, 1], that estimates are compared with: its luma, say.

        Raises:
            UnsupportedImageError: a picture that is of no use, such as a grey one to demosaic; it is left out by name.
        """
        ...

    def observe(self, clean: Image, level: _L, seed: int) -> Image:
        """What is observed of the clean image, which stays as it is; of any shape, such as a mosaic's [H, W].

        What is drawn at random must depend on `seed` alone, which is another for each image, the same at each level.
        """
        ...

    def describe(self, level: _L) -> Level:
        """The level as users know it, in JSON and in words."""
        ...


@dataclass(frozen=True)
class CleanImage:
    """An image to be measured with.

    name: within its folder. path: of its file. read: gives [H, W] or [H, W, 3] in [0, 1], or complex [H, W] of
    magnitudes up to 1; raises ImageError if it is of no use.
    """

    name: str
    path: Path
    read: Callable[[], NDArray[Any]]


def clean_pictures(folder: Path, degradation: Degradation[_L], max_pixels: int | None) -> list[CleanImage]:
    """The pictures of a folder, searched recursively, in the order of their paths.

    Raises:
        DatasetError: no folder, or no pictures in it.
    """
    return [
        CleanImage(path.relative_to(folder).as_posix(), path, partial(_picture, path, degradation, max_pixels))
        for path in _paths(folder, supported_suffixes)
    ]


def clean_slices(folder: Path) -> list[CleanImage]:
    """The slices of the .npy files of a folder, likewise: complex, or of real and imaginary part, [slices, 2, H, W].

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
    """Whether there are files of slices in a folder, and no pictures."""
    found = {path.suffix.lower() for path in folder.rglob("*") if path.is_file()}
    return SLICES_SUFFIX in found and not found & set(supported_suffixes)


def _picture(path: Path, degradation: Degradation[_L], max_pixels: int | None) -> NDArray[Any]:
    return _large_enough(degradation.prepare(read_picture(path, max_pixels=max_pixels)), path)


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


def _paths(folder: Path, suffixes: Sequence[str] | set[str] | frozenset[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{show_path(folder)}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        raise DatasetError(f"{show_path(folder)}: no images in it; known are {', '.join(sorted(suffixes))}")
    return paths


class CropKeeper:
    """Keeps the crops of the `capacity` most detailed images among those offered, and no others."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: list[tuple[float, Crop]] = []

    def wants(self, window: Window) -> bool:
        """Whether a crop with this window would be kept; asked before its panels are gathered."""
        return len(self._kept) < self._capacity or (self._capacity > 0 and window.detail > self._kept[-1][0])

    def add(self, window: Window, crop: Crop) -> None:
        """Keep a crop, and give up the least detailed one if there are now too many."""
        self._kept.append((window.detail, crop))
        self._kept.sort(key=lambda kept: -kept[0])
        del self._kept[self._capacity :]

    @property
    def crops(self) -> tuple[Crop, ...]:
        """The most detailed first."""
        return tuple(crop for _, crop in self._kept)


SCORING = (
    "Every output is clamped to [0, 1]. PSNR is 10 log10(1 / MSE) over all pixels and channels, no border cropped; "
    "SSIM as Wang et al. 2004 (Gaussian window of standard deviation 1.5), averaged over channels. Figures are means "
    "over images. Seconds are of the method alone, after one call on a small crop."
)
"""How outputs are scored; every protocol ends with it."""

WARM_UP_SIZE = 64


@dataclass(frozen=True)
class Progress:
    """`done` of `total` runs (images x methods x levels) are over; the last was on this image."""

    done: int
    total: int
    image: str


@dataclass(frozen=True)
class CropSettings:
    """How many crops to keep for a report, and their side in pixels."""

    count: int = 4
    size: int = 128


def evaluate_methods(
    folder: Path,
    degradation: Degradation[_L],
    methods: Sequence[Method[_L]],
    *,
    seed: int = 0,
    device: str = "cpu",
    max_pixels: int | None = None,
    images: Sequence[CleanImage] | None = None,
    crops: CropSettings = CropSettings(),
    notes: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Make each image of a folder worse, restore it with each method, compare with the clean image.

    Args:
        folder: clean images, searched recursively, taken in the order of their paths.
        degradation: what is done to them, and at which levels.
        methods: what to compare.
        seed: with an image's place in the order, the seed of what is drawn for it.
        device: what the caller ran the methods on, for the record.
        max_pixels: replaces the limit on the size of an image.
        images: those to measure with, if not all pictures of the folder.
        crops: what to keep for `write_report`.
        notes: remarks on the methods, for the record.
        progress: called after each run.

    Returns:
        The scores. An image that cannot be read or used, or is smaller than SSIM's window, is named in `skipped`.

    Raises:
        DatasetError: no folder, or no usable image in it.
        UsageError: no methods, two of one name, no levels, two alike.
    """
    _check(degradation, methods, seed)
    found = clean_pictures(folder, degradation, max_pixels) if images is None else images
    bench = _Bench(degradation, methods, CropKeeper(crops.count), crops.size)
    runs = len(methods) * len(degradation.levels)
    skipped = []
    for index, image in enumerate(found):
        report = _reporter(progress, index * runs, len(found) * runs, image.name)
        try:
            clean = image.read()
        except ImageError as error:
            skipped.append(Skipped(image.name, str(error).removeprefix(f"{show_path(image.path)}: ")))
            report(runs)
        else:
            try:
                bench.measure(image.name, clean, _image_seed(seed, index), report)
            except ModelMismatchError as error:
                raise ModelMismatchError(f"{show_path(image.path)}: {error}") from error
    if len(skipped) == len(found):
        raise DatasetError(
            f"{show_path(folder)}: none of the {len(found)} images can be used; the first: {skipped[0].reason}"
        )
    return Evaluation(
        task=degradation.task,
        axis=degradation.axis,
        dataset=folder.resolve().name,
        protocol=degradation.protocol,
        seed=seed,
        device=device,
        versions=_versions(methods),
        untouched=None if degradation.untouched is None else degradation.untouched.name,
        notes=tuple(notes),
        results=bench.results(),
        skipped=tuple(skipped),
        crops=bench.keeper.crops,
    )


class _Bench(Generic[_L]):
    """The methods and levels of an evaluation, and the scores so far."""

    def __init__(
        self, degradation: Degradation[_L], methods: Sequence[Method[_L]], keeper: CropKeeper, crop_size: int
    ) -> None:
        self.keeper = keeper
        self._crop_size = crop_size
        self._degradation = degradation
        self._methods = methods
        self._scores: dict[tuple[str, _L], list[Score]] = {
            (method.name, level): [] for method in methods for level in degradation.levels
        }
        self._warm: set[int] = set()

    def results(self) -> tuple[MethodResult, ...]:
        return tuple(
            MethodResult(name, self._degradation.describe(level), tuple(scores))
            for (name, level), scores in self._scores.items()
        )

    def measure(self, name: str, clean: NDArray[Any], seed: int, report: Callable[[int], None]) -> None:
        """Score every method at every level on one image, a complex one by its magnitude; keep its crop if it shows
        much.
        """
        self._warm_up(clean)
        visible = np.abs(clean)
        window = most_detailed_window(visible, self._crop_size)
        wanted = self.keeper.wants(window)
        untouched = self._degradation.untouched
        if untouched is not None and any(method.name == untouched.name for method in self._methods):
            untouched = None  # it has panels of its own
        panels = []
        finished = 0
        for level in self._degradation.levels:
            shown = self._degradation.describe(level)
            observed = self._degradation.observe(clean, level, seed)
            if wanted and untouched is not None:
                panels.append(_panel(untouched.name, shown, np.clip(untouched(observed, level), 0, 1), visible, window))
            for method in self._methods:
                estimate, score = _score(method, name, observed, level, visible)
                self._scores[method.name, level].append(score)
                if wanted:
                    panels.append(_panel(method.name, shown, estimate, visible, window))
                finished += 1
                report(finished)
        if wanted:
            self.keeper.add(window, Crop(name, window.left, window.top, to_8_bits(window.cut(visible)), tuple(panels)))

    def _warm_up(self, clean: NDArray[Any]) -> None:
        """One call of each method, unmeasured, on the first grey and the first colour image: libraries load late."""
        if clean.ndim not in self._warm:
            self._warm.add(clean.ndim)
            level = self._degradation.levels[0]
            try:
                observed = self._degradation.observe(clean[:WARM_UP_SIZE, :WARM_UP_SIZE].copy(), level, 0)
            except UnsupportedImageError:  # of one size only, such as a mask in a file
                observed = self._degradation.observe(clean, level, 0)
            for method in self._methods:
                method(observed, level)


def _reporter(
    progress: Callable[[Progress], None] | None, before: int, total: int, image: str
) -> Callable[[int], None]:
    """A function of the number of this image's runs that are over."""

    def report(finished: int) -> None:
        if progress is not None:
            progress(Progress(before + finished, total, image))

    return report


def _score(method: Method[_L], name: str, observed: Image, level: _L, clean: Image) -> tuple[Image, Score]:
    start = time.perf_counter()
    output = method(observed, level)
    seconds = time.perf_counter() - start
    estimate = np.clip(output, 0, 1)
    megapixels = clean.shape[0] * clean.shape[1] / 1e6
    return estimate, Score(name, psnr(estimate, clean), ssim(estimate, clean), seconds, megapixels)


def _panel(method: str, level: Level, estimate: Image, clean: Image, window: Window) -> Panel:
    shown = window.cut(estimate)
    return Panel(method, level, to_8_bits(shown), psnr(estimate, clean), psnr(shown, window.cut(clean)))


def _check(degradation: Degradation[_L], methods: Sequence[Method[_L]], seed: int) -> None:
    names = [method.name for method in methods]
    if not names:
        raise UsageError("no methods to evaluate; name a model or a baseline")
    if len(set(names)) < len(names):
        raise UsageError(f"methods of one name cannot be told apart: {', '.join(names)}")
    labels = [degradation.describe(level).label for level in degradation.levels]
    if not labels or len(set(degradation.levels)) < len(labels):
        raise UsageError(f"levels to evaluate at must be different ones, not: {', '.join(labels) or 'none'}")
    if seed < 0:
        raise UsageError(f"a seed must be 0 or more, not {seed}")


def _image_seed(seed: int, index: int) -> int:
    """One number out of two, such that neighbouring pairs give unrelated noise."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


def _versions(methods: Sequence[Method[_L]]) -> tuple[tuple[str, str], ...]:
    packages = ["torch", "numpy", "scikit-image"] + ["bm3d"] * any(method.name == "bm3d" for method in methods)
    found = [(package, importlib.metadata.version(package)) for package in packages]
    return (("restorekit", __version__), ("python", platform.python_version()), *found)
