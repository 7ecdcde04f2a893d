"""Training data: a folder of images or complex slices, held in memory, from which random crops are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.errors import DatasetError, ImageError
from restorekit.image import Picture, read_picture, supported_suffixes
from restorekit.image.mri import SLICES_SUFFIX, read_slices
from restorekit.physics.jpeg import rgb_to_ycbcr
from restorekit.restore.chroma import shrink
from restorekit.train.degradation import LEVELS

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
