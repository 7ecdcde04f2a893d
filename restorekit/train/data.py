"""Training data: a folder of images or complex slices, held in memory, and the batches of random crops of them."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restorekit.errors import DatasetError, ImageError, MissingExtraError, TrainingError
from restorekit.image import Picture, read_picture, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.models import Measurement
from restorekit.numerics.patches import extract_patches
from restorekit.physics.jpeg import rgb_to_ycbcr, shrink
from restorekit.tasks.base import FULL_SCALE, Source, Split
from restorekit.train.recipe import DictionarySettings, Recipe

COMPLEX, COLOUR = 2, 3  # numbers of channels: (real, imaginary), and RGB
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # weights of red, green and blue, ITU-R BT.601


def load_split(folder: Path, channels: int, least_size: int, validation_every: int, *, chroma: bool = False) -> Split:
    """Read every picture and slice under `folder`; the first and every `validation_every`-th are for validation.

    Colour images become luma for a grey model, complex slices their magnitude; grey images cannot train a colour model.
    For a model of complex images, pictures have an imaginary part of zero. With `chroma` Cb and Cr are kept as well, as
    JPEG most often stores those of a picture of half the size: means over 4x4 pixels. Raises DatasetError: no folder,
    nothing readable in it, too few or too small pictures, or none that has chroma.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder of training images")
    suffixes = {*supported_suffixes, SLICES_SUFFIX}
    images, planes = list[Tensor](), list[Tensor]()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file()):
        try:
            if path.suffix.lower() == SLICES_SUFFIX:
                images += _large_enough(_slices(path, channels), least_size)
                continue
            picture = read_picture(path)
        except ImageError as error:
            raise DatasetError(f"training data cannot be used: {error}") from error
        if chroma and len(images) % validation_every:
            planes += _large_enough(_chroma(picture), least_size)
        images += _large_enough([_image(picture, channels, path)], least_size)
    validation = images[::validation_every]
    training = [image for index, image in enumerate(images) if index % validation_every]
    if not training:
        found = f"{len(images)} usable pictures of at least {least_size} pixels a side"
        raise DatasetError(f"{folder} holds {found}; training needs two")
    if chroma and not planes:
        raise DatasetError(f"{folder} holds no colour pictures large enough to learn chroma from")
    return Split(training, validation, planes)


def _large_enough(images: Sequence[Tensor], least_size: int) -> list[Tensor]:
    return [image for image in images if min(image.shape[1:]) >= least_size]


def _slices(path: Path, channels: int) -> list[Tensor]:
    parts = torch.from_numpy(read_slices(path))
    if channels == COLOUR:
        raise DatasetError(f"training slices {path} have no colours, and a colour model learns from colour images only")
    return list((parts if channels == COMPLEX else parts.float().norm(dim=1, keepdim=True)).to(torch.float16))


def _chroma(picture: Picture) -> list[Tensor]:
    if picture.is_grey:
        return []
    # Photographs have most often been JPEGs: means over 2x2 pixels would be what those stored, with its artefacts.
    planes = np.moveaxis(rgb_to_ycbcr(picture.to_float())[..., 1:], 2, 0)
    return [_in_8_bits(torch.from_numpy(shrink(plane, (4, 4)))[None]) for plane in planes]


def _image(picture: Picture, channels: int, path: Path) -> Tensor:
    if picture.is_grey and channels == COLOUR:
        raise DatasetError(f"training image {path} is grey, and a colour model learns from colour images only")
    pixels = picture.to_float()
    pixels = pixels if picture.is_grey or channels == COLOUR else pixels @ LUMA
    image = _in_8_bits(torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1))
    return torch.cat((image, torch.zeros_like(image))) if channels == COMPLEX else image


def _in_8_bits(image: Tensor) -> Tensor:
    return (image * FULL_SCALE).round().clamp(0, FULL_SCALE).to(torch.uint8).contiguous()


def random_crops(
    images: Sequence[Tensor], size: int, count: int, generator: torch.Generator, shrink: float = 1, enlarge: float = 1
) -> Tensor:
    """Return crops [count, C, size, size] of full scale 1 of random images, at random places, flipped and turned.

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
        crop = _unit(crop.flip(2) if draw(2) else crop)
        if side != size:
            crop = torch.nn.functional.interpolate(crop[None], (size, size), mode="bicubic", antialias=True)[0]
            crop = crop.clamp(-1 if len(crop) == COMPLEX else 0, 1)
        crops.append(crop)
    return torch.stack(crops)


def centre_crop(image: Tensor, size: int) -> Tensor:
    """Return the middle `size` x `size` pixels (fewer if the image is smaller), [1, C, h, w] of full scale 1."""
    height, width = min(size, image.shape[1]), min(size, image.shape[2])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return _unit(image[None, :, top : top + height, left : left + width])


def _unit(image: Tensor) -> Tensor:
    return image.float() / FULL_SCALE if image.dtype == torch.uint8 else image.float()


Batch = tuple[Tensor, Measurement]  # clean crops [B, C, H, W], and what is measured of them
DATA, NETWORK = 0, 1  # the purposes of the random numbers of a step
MOST_WORKERS = 8
FORK = "fork"  # pictures need not be sent to processes that begin as copies of this one
PATIENCE = 300  # seconds without a batch after which the processes that draw them are taken to be stuck


def draw_batch(sources: Sequence[Source], recipe: Recipe, generator: torch.Generator) -> Batch:
    """Draw a batch from one of the sources."""
    data, source = recipe.data, sources[0]
    if len(sources) > 1:
        shares = torch.tensor([source.share for source in sources])
        source = sources[int(torch.multinomial(shares, 1, generator=generator))]
    clean = random_crops(source.images, data.crop, data.batch, generator, data.shrink, data.enlarge)
    return clean, source.draw(clean, generator)


def step_generator(recipe: Recipe, rank: int, step: int, purpose: int) -> torch.Generator:
    """Return the random numbers for one purpose at one step of the process `rank`: the same at every call."""
    seed = np.random.SeedSequence([recipe.seed % 2**64, rank, step, purpose]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed[0]))


class Batches(Dataset[Batch | Exception]):
    """The batch of every step of a recipe, for the process `rank`: it depends on the seed, the rank and the step."""

    def __init__(self, recipe: Recipe, split: Split, rank: int) -> None:
        self.recipe, self.rank = recipe, rank
        self.sources = recipe.degradation.sources(split)

    def __getitem__(self, step: int) -> Batch | Exception:
        try:
            return draw_batch(self.sources, self.recipe, step_generator(self.recipe, self.rank, step, DATA))
        except Exception as error:  # Raised in another process, it would arrive as a long text.
            return error

    def from_step(self, first: int, workers: int | None, device: torch.device) -> Generator[Batch]:
        """Yield the batches from step `first` on, in order, drawn ahead by `workers` processes (0: drawn here).

        If `workers` is None, there are as many as suit the device. They end when the generator is closed. Raises
        TrainingError if this system cannot copy processes, or one of them was killed or got stuck.
        """
        workers = _default_workers(device) if workers is None else workers
        if workers and not _can_fork():
            raise TrainingError("this system cannot copy processes to prepare batches; use --workers 0")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # More than there are processors.
            loader = DataLoader(
                self,
                batch_size=None,
                sampler=range(first, self.recipe.optimiser.steps),
                num_workers=workers,
                pin_memory=device.type == "cuda",
                timeout=PATIENCE if workers else 0,
                worker_init_fn=_ignore_signals,
                multiprocessing_context=FORK if workers else None,
            )
            batches = iter(loader)
        batch: Batch | Exception | None = None
        try:
            for batch in batches:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        except RuntimeError as error:
            if error is batch or not workers:
                raise
            complaint = "a process that prepares batches was killed or got stuck, perhaps for lack of memory"
            raise TrainingError(f"{complaint}; go on with --resume and fewer --workers") from error
        finally:
            if isinstance(batches, torch.utils.data.dataloader._MultiProcessingDataLoaderIter):
                # An error on its way out refers to them, and the interpreter would wait for them at its end.
                batches._shutdown_workers()


def _default_workers(device: torch.device) -> int:
    """Return one for each other processor on a GPU, which would wait for batches; a CPU has none to spare."""
    if device.type != "cuda" or not _can_fork():
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(0, processors // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1))


def _can_fork() -> bool:
    return FORK in multiprocessing.get_all_start_methods()


def _ignore_signals(_: int) -> None:
    # Ctrl-C and the end of a job reach every process; the trainer answers them, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


LEAST_CONTRAST = 0.03  # root mean square, below which a patch teaches a dictionary nothing but noise


def learn_dictionary(
    images: Sequence[Tensor], patch_size: int, atoms: int, settings: DictionarySettings, generator: torch.Generator
) -> Tensor:
    """Minimise 1/2 ||y - D a||^2 + sparsity ||a||_1 over D and a, for centred patches y and ||d_j|| <= 1: [m, atoms].

    Source: Mairal, Bach, Ponce and Sapiro, Online Dictionary Learning for Sparse Coding (2009), as scikit-learn has it.
    """
    try:
        from sklearn.decomposition import MiniBatchDictionaryLearning
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise MissingExtraError("training needs scikit-learn: pip install 'restorekit[train]'") from error
    crops = random_crops(images, patch_size, settings.patches, generator)
    patches = extract_patches(crops, patch_size)[:, 0]
    patches = patches - patches.mean(1, keepdim=True)
    patches = patches[patches.square().mean(1).sqrt() > LEAST_CONTRAST]
    if len(patches) < atoms:
        raise TrainingError(f"only {len(patches)} training patches have any contrast; {atoms} atoms need more images")
    learner = MiniBatchDictionaryLearning(
        atoms, alpha=settings.sparsity, batch_size=256, max_iter=settings.passes, fit_algorithm="cd", random_state=0
    )
    with warnings.catch_warnings():
        # Codes need not be optimal for a dictionary that training changes anyway.
        warnings.simplefilter("ignore", ConvergenceWarning)
        components: np.ndarray = learner.fit(patches.numpy()).components_
    return torch.from_numpy(components.T.astype(np.float32))
