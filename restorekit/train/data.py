"""Training data: a folder of images or complex slices, held in memory, from which random crops are drawn."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from restorekit.errors import DatasetError, ImageError, TrainingError
from restorekit.image import Picture, read_picture, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.models import Measurement
from restorekit.physics.jpeg import rgb_to_ycbcr, shrink
from restorekit.tasks.deblock import JpegSection as JpegSettings

LEVELS = 255.0
from restorekit.train.recipe import Recipe

COMPLEX, COLOUR = 2, 3
"""Numbers of channels: (real, imaginary), and RGB."""


@dataclass(frozen=True)
class Split:
    """Images [C, H, W] as lists for training and validation: uint8, or float16 what comes from complex slices.

    chroma: Cb and Cr of those for training, [1, ceil(H / 4), ceil(W / 4)], where they were asked for.
    """

    training: list[Tensor]
    validation: list[Tensor]
    chroma: list[Tensor] = field(default_factory=list)


def load_split(folder: Path, channels: int, least_size: int, validation_every: int, *, chroma: bool = False) -> Split:
    """Read every picture and slice under `folder`; the first and every `validation_every`-th are for validation.

    Colour images become grey (luma of ITU-R BT.601) for a grey model, complex slices their magnitude; grey images
    cannot train a colour model. For a model of complex images, pictures have an imaginary part of zero. With `chroma`
    Cb and Cr are kept as well, as JPEG most often stores those of a picture of half the size: means over 4x4 pixels.

    Raises:
        DatasetError: no folder, nothing readable in it, too few or too small pictures, or none that has chroma.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder of training images")
    suffixes = {*supported_suffixes, SLICES_SUFFIX}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    images: list[Tensor] = []
    planes: list[Tensor] = []
    for path in paths:
        if path.suffix.lower() == SLICES_SUFFIX:
            images += _large_enough(_slices(path, channels), least_size)
            continue
        picture = _read(path)
        if chroma and len(images) % validation_every:
            planes += _large_enough(_chroma(picture), least_size)
        images += _large_enough([_as_image(picture, channels, path)], least_size)
    validation = images[::validation_every]
    training = [image for index, image in enumerate(images) if index % validation_every]
    if not training:
        raise DatasetError(
            f"{folder} holds {len(images)} usable pictures of at least {least_size} pixels a side; training needs two"
        )
    if chroma and not planes:
        raise DatasetError(f"{folder} holds no colour pictures large enough to learn chroma from")
    return Split(training, validation, planes)


def _large_enough(images: Sequence[Tensor], least_size: int) -> list[Tensor]:
    return [image for image in images if min(image.shape[1:]) >= least_size]


def _slices(path: Path, channels: int) -> list[Tensor]:
    try:
        parts = torch.from_numpy(read_slices(path))
    except ImageError as error:
        raise DatasetError(f"training slices cannot be used: {error}") from error
    if channels == COLOUR:
        raise DatasetError(f"training slices {path} have no colours, and a colour model learns from colour images only")
    return list((parts if channels == COMPLEX else parts.float().norm(dim=1, keepdim=True)).to(torch.float16))


def _read(path: Path) -> Picture:
    try:
        return read_picture(path)
    except ImageError as error:
        raise DatasetError(f"a training image cannot be used: {error}") from error


def _chroma(picture: Picture) -> list[Tensor]:
    if picture.is_grey:
        return []
    # Photographs have most often been JPEGs: means over 2x2 pixels would be what those stored, with its artefacts.
    planes = np.moveaxis(rgb_to_ycbcr(picture.to_float())[..., 1:], 2, 0)
    return [_in_8_bits(torch.from_numpy(shrink(plane, (4, 4)))[None]) for plane in planes]


def _as_image(picture: Picture, channels: int, path: Path) -> Tensor:
    image = _as_channels(picture.to_float(), COLOUR if channels == COLOUR else 1, path)
    return torch.cat((image, torch.zeros_like(image))) if channels == COMPLEX else image


def _as_channels(pixels: np.ndarray, channels: int, path: Path) -> Tensor:
    if pixels.ndim == 3 and channels == 1:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    if pixels.ndim == 2 and channels == COLOUR:
        raise DatasetError(f"training image {path} is grey, and a colour model learns from colour images only")
    image = torch.from_numpy(np.ascontiguousarray(pixels))
    image = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    return _in_8_bits(image)


def _in_8_bits(image: Tensor) -> Tensor:
    return (image * LEVELS).round().clamp(0, LEVELS).to(torch.uint8).contiguous()


def random_crops(
    images: Sequence[Tensor],
    size: int,
    count: int,
    generator: torch.Generator,
    shrink: float = 1.0,
    enlarge: float = 1.0,
) -> Tensor:
    """Crops [count, C, size, size] of full scale 1 of random images at random places, flipped and turned at random.

    Each is of an image scaled by a factor drawn between `shrink` (or what the image is large enough for) and `enlarge`.
    """

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    crops = []
    for _ in range(count):
        image = images[draw(len(images))]
        factor = enlarge
        if shrink != enlarge:
            factor -= (enlarge - shrink) * float(torch.rand((), generator=generator))
        side = min(round(size / factor), *image.shape[1:])
        top, left = draw(image.shape[1] - side + 1), draw(image.shape[2] - side + 1)
        crop = torch.rot90(image[:, top : top + side, left : left + side], draw(4), (1, 2))
        crops.append(_scaled(_unit(crop.flip(2) if draw(2) else crop), size))
    return torch.stack(crops)


def _scaled(crop: Tensor, size: int) -> Tensor:
    if crop.shape[-1] == size:
        return crop
    scaled = F.interpolate(crop[None], (size, size), mode="bicubic", align_corners=False, antialias=True)[0]
    least = -1 if len(crop) == COMPLEX else 0
    return scaled.clamp(least, 1)


def centre_crop(image: Tensor, size: int) -> Tensor:
    """The middle `size` x `size` pixels (fewer if the image is smaller), [1, C, h, w] of full scale 1."""
    height, width = min(size, image.shape[1]), min(size, image.shape[2])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return _unit(image[None, :, top : top + height, left : left + width])


def _unit(image: Tensor) -> Tensor:
    """As float32, 8-bit samples divided by the greatest."""
    return image.float() / LEVELS if image.dtype == torch.uint8 else image.float()


@dataclass(frozen=True)
class Source:
    """Images [C, H, W] that crops are cut from, what degrades those, and the share of the steps that it has."""

    images: Sequence[Tensor]
    draw: Callable[[Tensor, torch.Generator], Measurement]
    share: float


def needs_chroma(recipe: Recipe) -> bool:
    """Whether a recipe is for JPEG and asks for chroma as well."""
    return _chroma_of(recipe) is not None


def _chroma_of(recipe: Recipe) -> JpegSettings | None:
    degradation = recipe.degradation
    return degradation if isinstance(degradation, JpegSettings) and degradation.chroma > 0 else None


def sources_of(recipe: Recipe, split: Split) -> tuple[Source, ...]:
    """The training images; where a recipe for JPEG asks for it, their chroma as well."""
    jpeg = _chroma_of(recipe)
    if jpeg is None:
        return (Source(split.training, recipe.degradation.draw, 1.0),)
    luma = Source(split.training, jpeg.draw, 1 - jpeg.chroma)
    return luma, Source(split.chroma, partial(jpeg.draw, chroma=True), jpeg.chroma)


def draw_batch(sources: Sequence[Source], recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Measurement]:
    """Clean crops [B, C, H, W], all of one source, and what is observed of them."""
    data = recipe.data
    source = sources[0]
    if len(sources) > 1:
        shares = torch.tensor([source.share for source in sources])
        source = sources[int(torch.multinomial(shares, 1, generator=generator))]
    clean = random_crops(source.images, data.crop, data.batch, generator, data.shrink, data.enlarge)
    return clean, source.draw(clean, generator)


Batch = tuple[Tensor, Measurement]
"""Clean crops [B, C, H, W], and what is observed of them."""

DATA, NETWORK = 0, 1
"""What the random numbers of a step are for."""

MOST_WORKERS = 8
FORK = "fork"
"""Pictures need not be sent to processes that begin as copies of this one."""
PATIENCE = 300
"""Seconds for a batch, after which the processes that draw them are taken to be stuck."""


def step_generator(recipe: Recipe, rank: int, step: int, purpose: int) -> torch.Generator:
    """Random numbers for a purpose at a step of the process `rank`, the same whenever they are asked for."""
    seed = np.random.SeedSequence([recipe.seed % 2**64, rank, step, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


class Batches:
    """The batch of every step of a recipe, for the process `rank`."""

    def __init__(self, recipe: Recipe, split: Split, rank: int) -> None:
        self.recipe, self.rank = recipe, rank
        self.sources = sources_of(recipe, split)

    def __getitem__(self, step: int) -> Batch:
        return draw_batch(self.sources, self.recipe, step_generator(self.recipe, self.rank, step, DATA))

    def from_step(self, first: int, workers: int | None, device: torch.device) -> Generator[Batch]:
        """The batches of the steps from `first` on, in order, drawn ahead by so many processes, or here if by none.

        If `workers` is None, there are as many as suit the device. To close the iterator ends them.

        Raises:
            TrainingError: this system cannot have such processes, or one of them was killed or got stuck.
        """
        workers = _default_workers(device) if workers is None else workers
        if workers and not _can_fork():
            raise TrainingError("processes that prepare batches cannot be had on this system; use --workers 0")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # More than there are processors.
            loader = DataLoader(
                _Guarded(self),
                batch_size=None,
                sampler=range(first, self.recipe.optimiser.steps),
                num_workers=workers,
                pin_memory=device.type == "cuda",
                timeout=PATIENCE if workers else 0,
                worker_init_fn=_undisturbed,
                multiprocessing_context=FORK if workers else None,
            )
            batches = iter(loader)
        try:
            while (batch := self._next(batches, workers)) is not None:
                yield batch
        finally:
            if isinstance(batches, _MultiProcessingDataLoaderIter):
                # An error on its way out holds on to them, and the interpreter would wait for them at its end.
                batches._shutdown_workers()

    @staticmethod
    def _next(batches: Iterator[Batch | Exception], workers: int) -> Batch | None:
        try:
            batch = next(batches, None)
        except RuntimeError as error:
            if not workers:
                raise
            raise TrainingError(
                "a process that prepares batches was killed or got stuck, perhaps for lack of memory; "
                "go on with --resume and fewer --workers"
            ) from error
        if isinstance(batch, Exception):
            raise batch
        return batch


class _Guarded(Dataset[Batch | Exception]):
    """Errors as values, which come from other processes as they are: raised there they would become long texts."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return self.batches[step]
        except Exception as error:
            return error


def _default_workers(device: torch.device) -> int:
    """On a GPU, which would wait for batches, one for each other processor; a CPU has none to spare."""
    if device.type != "cuda" or not _can_fork():
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(0, processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _can_fork() -> bool:
    return FORK in multiprocessing.get_all_start_methods()


def _undisturbed(_: int) -> None:
    """Ctrl-C and the end of a job reach every process, and are the trainer's to answer, who then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
