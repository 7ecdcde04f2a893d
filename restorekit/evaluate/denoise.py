"""Denoising measured: seeded noise on clean images, each method's PSNR, SSIM and speed."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from restorekit._version import __version__
from restorekit.errors import DatasetError, ImageError, ModelMismatchError, UnsupportedImageError, UsageError
from restorekit.evaluate.crops import CropKeeper, Window, most_detailed_window, to_8_bits
from restorekit.evaluate.result import Crop, Evaluation, MethodResult, Panel, Score, Skipped
from restorekit.image import read_picture, show_path, supported_suffixes
from restorekit.metrics import SSIM_WINDOW, psnr, ssim
from restorekit.noise import add_gaussian_noise

Image = npt.NDArray[np.float32]

PROTOCOL = (
    "Seeded Gaussian noise is added in float32, neither clipped nor rounded. Every output, and the noisy input where "
    "it is scored, is clamped to [0, 1]. PSNR is 10 log10(1 / MSE) over all pixels and channels, no border cropped; "
    "SSIM as Wang et al. 2004 (Gaussian window of standard deviation 1.5), averaged over channels. Figures are means "
    "over images. Seconds are of the method alone, after one call on a small crop."
)
WARM_UP_SIZE = 64


class Denoiser(Protocol):
    """A method to measure: it is told the noise level."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    def __call__(self, noisy: Image, sigma: float) -> npt.NDArray[Any]:
        """An image [H, W] or [H, W, 3] and its noise level in [0, 1] -> an image of the same shape."""
        ...


@dataclass(frozen=True)
class Progress:
    """`done` of `total` runs (images x methods x noise levels) are over; the last was on this image."""

    done: int
    total: int
    image: str


@dataclass(frozen=True)
class CropSettings:
    """How many crops to keep for a report, and their side in pixels."""

    count: int = 4
    size: int = 128


def evaluate_denoise(
    folder: Path,
    methods: Sequence[Denoiser],
    sigmas: Sequence[float],
    *,
    seed: int = 0,
    device: str = "cpu",
    max_pixels: int | None = None,
    crops: CropSettings = CropSettings(),
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Add noise to each image of a folder, denoise it with each method, compare with the clean image.

    Args:
        folder: clean images, searched recursively, taken in the order of their paths, grey or colour as they are.
        methods: what to compare.
        sigmas: noise levels in [0, 1].
        seed: with an image's place in the order, the seed of its noise: one draw, scaled to each noise level.
        device: what the caller ran the methods on, for the record.
        max_pixels: replaces the limit on the size of an image.
        crops: what to keep for `write_report`.
        progress: called after each run.

    Returns:
        The scores. An image that cannot be read, or is smaller than SSIM's window, is named in `skipped`.

    Raises:
        DatasetError: no folder, or no usable image in it.
        UsageError: no methods, two of one name, or noise levels that are none.
    """
    _check(methods, sigmas, seed)
    paths = _image_paths(folder)
    bench = _Bench(methods, sigmas, CropKeeper(crops.count), crops.size)
    runs = len(methods) * len(sigmas)
    skipped = []
    for index, path in enumerate(paths):
        name = path.relative_to(folder).as_posix()
        report = _reporter(progress, index * runs, len(paths) * runs, name)
        try:
            clean = _read_clean(path, max_pixels)
        except ImageError as error:
            skipped.append(Skipped(name, str(error).removeprefix(f"{show_path(path)}: ")))
            report(runs)
        else:
            try:
                bench.measure(name, clean, _image_seed(seed, index), report)
            except ModelMismatchError as error:
                raise ModelMismatchError(f"{show_path(path)}: {error}") from error
    if len(skipped) == len(paths):
        raise DatasetError(
            f"{show_path(folder)}: none of the {len(paths)} images can be used; the first: {skipped[0].reason}"
        )
    return Evaluation(
        task="denoise",
        dataset=folder.resolve().name,
        protocol=PROTOCOL,
        seed=seed,
        device=device,
        versions=_versions(methods),
        results=bench.results(),
        skipped=tuple(skipped),
        crops=bench.keeper.crops,
    )


class _Bench:
    """The methods and noise levels of an evaluation, and the scores so far."""

    def __init__(
        self, methods: Sequence[Denoiser], sigmas: Sequence[float], keeper: CropKeeper, crop_size: int
    ) -> None:
        self.keeper = keeper
        self._crop_size = crop_size
        self._methods = methods
        self._sigmas = sigmas
        self._scores: dict[tuple[str, float], list[Score]] = {
            (method.name, sigma): [] for method in methods for sigma in sigmas
        }
        self._warm: set[int] = set()

    def results(self) -> tuple[MethodResult, ...]:
        return tuple(MethodResult(name, sigma, tuple(scores)) for (name, sigma), scores in self._scores.items())

    def measure(self, name: str, clean: Image, seed: int, report: Callable[[int], None]) -> None:
        """Score every method at every noise level on one image, and keep its crop if it shows much."""
        self._warm_up(clean)
        window = most_detailed_window(clean, self._crop_size)
        wanted = self.keeper.wants(window)
        panels = []
        finished = 0
        for sigma in self._sigmas:
            noisy = add_gaussian_noise(clean, sigma, seed)
            if wanted and all(method.name != "noisy" for method in self._methods):
                panels.append(_panel("noisy", sigma, np.clip(noisy, 0, 1), clean, window))
            for method in self._methods:
                estimate, score = _score(method, name, noisy, sigma, clean)
                self._scores[method.name, sigma].append(score)
                if wanted:
                    panels.append(_panel(method.name, sigma, estimate, clean, window))
                finished += 1
                report(finished)
        if wanted:
            shown = to_8_bits(window.cut(clean))
            self.keeper.add(window, Crop(name, window.left, window.top, shown, tuple(panels)))

    def _warm_up(self, clean: Image) -> None:
        """One call of each method, unmeasured, on the first grey and the first colour image: libraries load late."""
        if clean.ndim not in self._warm:
            self._warm.add(clean.ndim)
            for method in self._methods:
                method(clean[:WARM_UP_SIZE, :WARM_UP_SIZE].copy(), self._sigmas[0])


def _reporter(
    progress: Callable[[Progress], None] | None, before: int, total: int, image: str
) -> Callable[[int], None]:
    """A function of the number of this image's runs that are over."""

    def report(finished: int) -> None:
        if progress is not None:
            progress(Progress(before + finished, total, image))

    return report


def _score(method: Denoiser, name: str, noisy: Image, sigma: float, clean: Image) -> tuple[Image, Score]:
    start = time.perf_counter()
    output = method(noisy, sigma)
    seconds = time.perf_counter() - start
    estimate = np.clip(output, 0, 1)
    megapixels = clean.shape[0] * clean.shape[1] / 1e6
    return estimate, Score(name, psnr(estimate, clean), ssim(estimate, clean), seconds, megapixels)


def _panel(method: str, sigma: float, estimate: Image, clean: Image, window: Window) -> Panel:
    shown = window.cut(estimate)
    return Panel(method, sigma, to_8_bits(shown), psnr(estimate, clean), psnr(shown, window.cut(clean)))


def _check(methods: Sequence[Denoiser], sigmas: Sequence[float], seed: int) -> None:
    names = [method.name for method in methods]
    if not names:
        raise UsageError("no methods to evaluate; name a model or a baseline")
    if len(set(names)) < len(names):
        raise UsageError(f"methods of one name cannot be told apart: {', '.join(names)}")
    levels = ", ".join(f"{255 * sigma:g}" for sigma in sigmas)
    if not sigmas or len(set(sigmas)) < len(sigmas) or not all(0 <= sigma < math.inf for sigma in sigmas):
        raise UsageError(f"noise levels must be different numbers of at least 0, not: {levels or 'none'}")
    if seed < 0:
        raise UsageError(f"a seed must be 0 or more, not {seed}")


def _image_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{show_path(folder)}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in supported_suffixes and path.is_file())
    if not paths:
        raise DatasetError(f"{show_path(folder)}: no images in it; known are {', '.join(sorted(supported_suffixes))}")
    return paths


def _read_clean(path: Path, max_pixels: int | None) -> Image:
    clean = read_picture(path, max_pixels=max_pixels).to_float()
    if min(clean.shape[:2]) < SSIM_WINDOW:
        raise UnsupportedImageError(
            f"{show_path(path)}: {clean.shape[1]}x{clean.shape[0]} pixels, "
            f"but SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return clean


def _image_seed(seed: int, index: int) -> int:
    """One number out of two, such that neighbouring pairs give unrelated noise."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])


def _versions(methods: Sequence[Denoiser]) -> tuple[tuple[str, str], ...]:
    packages = ["torch", "numpy", "scikit-image"] + ["bm3d"] * any(method.name == "bm3d" for method in methods)
    found = [(package, importlib.metadata.version(package)) for package in packages]
    return (("restorekit", __version__), ("python", platform.python_version()), *found)
