"""From pixels to restored pixels: device, tile size and quality, and the network run over the tiles."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import DeviceError, ModelMismatchError, UsageError
from restorekit.models import PatchNetwork, View, Window
from restorekit.numerics.dihedral import dihedral, dihedral_inverse
from restorekit.numerics.patches import within_memory
from restorekit.physics.mosaic import mirror
from restorekit.types import LEAST_TILE, Quality, RunReport, RunSettings

Image = NDArray[np.float32]

CACHE_TILE = 40
"""On a CPU the codes of a block should stay in the cache: 32 x 32 patches of 256 atoms are one megabyte."""
CPU_MEMORY = 768 * 2**20
"""What restoring may take of a computer's memory, in bytes, the arrays of the image itself included ..."""
LEAST_CPU_MEMORY = 192 * 2**20
"""... but a tile gets no less than this."""
IMAGE_COPIES = 6
LARGEST_TILE = 1024
LEAST_NONLOCAL_TILE = 64


def resolve_device(name: str) -> torch.device:
    """Return the torch device for auto (the first GPU, or else the CPU), cpu, cuda or cuda:N.

    Raises DeviceError: the name means nothing, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()) or (kind == "cpu" and index):
        raise DeviceError(f"unknown device {name!r}; choose auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(f"device {name} is not available: no CUDA GPU was found; use --device cpu")
        count = torch.cuda.device_count()
        if index and int(index) >= count:
            raise DeviceError(f"device {name} does not exist: this machine has {count}, counted from cuda:0")
    return torch.device(name)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """On a GPU convolutions in single precision use all its bits, not 10, as cuDNN otherwise may.

    The first filters of networks see small differences of large values. It holds for all threads; a program that has
    chosen the precision by torch's `fp32_precision` keeps its choice.
    """
    try:
        before = torch.backends.cudnn.allow_tf32
    except RuntimeError:
        yield
        return
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def inference() -> Iterator[None]:
    """Run networks as restoring does: exactly, and without gradients."""
    with torch.inference_mode(), exact_convolutions():
        yield


def restore_array(
    pixels: Image, conditioning: float, network: PatchNetwork, settings: RunSettings, mask: NDArray[Any] | None = None
) -> tuple[Image, RunReport]:
    """Restore one image: [H, W] for a grey model or [H, W, 3] for a colour one, any size, clamped to [0, 1].

    Noise may lead the given values outside [0, 1]. conditioning: how strong the degradation is, in [0, 1], as the
    network takes it: of noise, sigma. mask: 1 where a value was observed and 0 where there is none, of the
    image's shape, or [H, W] for all channels; None if all were observed. Raises UsageError: a mask of another shape;
    ModelMismatchError: the network is for another number of channels; MemoryExhaustedError: the image itself, or the
    smallest tile, does not fit into memory.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels != network.channels:
        kinds = {1: "grey", 3: "colour"}
        raise ModelMismatchError(
            f"the model is for {kinds[network.channels]} images, and this one is {kinds.get(channels, channels)}"
        )
    if mask is not None and mask.shape not in (pixels.shape, pixels.shape[:2]):
        raise UsageError(f"a mask of shape {list(mask.shape)} does not fit an image of shape {list(pixels.shape)}")
    device = resolve_device(settings.device)
    started = time.perf_counter()

    def restore() -> tuple[Image, int]:
        observed = None if mask is None else as_batch(mask.astype(np.float32), device).expand(-1, channels, -1, -1)
        estimate, tiles = restore_batch(as_batch(pixels, device), conditioning, network.to(device), settings, observed)
        return as_pixels(estimate, pixels.ndim), tiles

    restored, tiles = within_memory(restore)
    return restored, RunReport(str(device), tiles, time.perf_counter() - started)


@inference()
def restore_batch(
    images: Tensor, conditioning: float, network: PatchNetwork, settings: RunSettings, mask: Tensor | None = None
) -> tuple[Tensor, int]:
    """Restore images [B, C, H, W] of any size: the estimate, clamped to [0, 1], and the number of tiles.

    `mask` is [1, C, H, W] or [B, C, H, W]: 1 where a value was observed, else 0.
    """
    stride = settings.quality.stride
    height, width = images.shape[-2:]
    size = [network.continued_length(side) for side in (height, width)]
    padded = mirrored_to(images, *size)
    known = None if mask is None else mirrored_to(mask, *size)
    tile_size = settings.tile or _automatic_tile(network, images, stride)
    if tile_size < LEAST_TILE:
        raise UsageError(f"tiles of {tile_size} pixels are too small; use auto or at least {LEAST_TILE}")
    conditionings = torch.full((images.shape[0],), conditioning, device=images.device)

    def windows(view: View) -> list[tuple[Window, Window]]:
        return list(product(network.windows(height, view.down), network.windows(width, view.right)))

    def restore(down: Window, across: Window, turn: int) -> Tensor:
        seen = dihedral(padded[..., down.seen, across.seen], turn)
        part = None if known is None else dihedral(known[..., down.seen, across.seen], turn)
        sums, covered = network(seen, conditionings, stride, tile_size, mask=part)
        return dihedral_inverse(sums.div_(covered), turn)

    def restore_whole(view: View) -> Tensor:
        # Windows are turned rather than the image: so cells, and blocks of JPEG, lie alike in all turns.
        parts = windows(view)
        if len(parts) == 1:
            return restore(*parts[0], view.turn)
        whole = torch.empty_like(padded)
        for down, across in parts:
            whole[..., down.kept, across.kept] = restore(down, across, view.turn)[..., down.within, across.within]
        return whole

    first, *others = network.views
    estimate = restore_whole(first)
    if settings.quality is Quality.BEST:
        for view in others:
            estimate += restore_whole(view)
        estimate /= len(network.views)
    tiles = sum(len(network.blocks(down.length, across.length, stride, tile_size)) for down, across in windows(first))
    return estimate.clamp_(0, 1)[..., :height, :width], tiles


def as_batch(pixels: Image, device: torch.device) -> Tensor:
    """Return [H, W] or [H, W, C] as [1, C, H, W]."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    return image[None, None] if image.ndim == 2 else image.permute(2, 0, 1)[None]


def as_pixels(images: Tensor, dimensions: int) -> Image:
    """Return the first of images [B, C, H, W] as [H, W], its first channel, or [H, W, C], by the dimensions."""
    pixels: Image = (images[0, 0] if dimensions == 2 else images[0].permute(1, 2, 0)).cpu().numpy()
    return pixels


def _automatic_tile(network: PatchNetwork, images: Tensor, stride: int) -> int:
    """Choose a tile that fits: into a CPU's cache where tiles do not touch, else into a share of the memory."""
    if images.device.type == "cpu":
        if network.halo == 0:
            return CACHE_TILE
        budget = CPU_MEMORY - IMAGE_COPIES * images.numel() * images.element_size()
        memory = max(LEAST_CPU_MEMORY, min(budget, free_memory() // 2))
    else:
        memory = torch.cuda.mem_get_info(images.device)[0] // 4
    patches = memory / (network.bytes_per_patch * images.shape[0])
    across = int(patches**0.5) * network.grid_stride(stride) + network.patch_size - 2 * network.halo
    return max(LEAST_NONLOCAL_TILE if network.halo else LEAST_TILE, min(LARGEST_TILE, across))


def free_memory() -> int:
    """Return how many bytes of the computer's memory are free; CPU_MEMORY where the operating system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return CPU_MEMORY


def mirrored_to(images: Tensor, height: int, width: int) -> Tensor:
    """Continue images [B, C, H, W] as their mirror image at the bottom and right, up to that height and width.

    Their last row and column are not repeated: side by side, twice the same noise would look like a detail.
    """
    if images.shape[-2:] == (height, width):
        return images
    rows, columns = mirror(images.shape[-2], 0, height), mirror(images.shape[-1], 0, width)
    return images[..., rows.to(images.device), :][..., columns.to(images.device)]
