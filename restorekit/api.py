"""The Python interface: load a model, restore an array."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.image import Metadata, Picture
from restorekit.restore.batch import Operation
from restorekit.restore.choice import ModelChoice
from restorekit.restore.denoise import TASK, Denoise
from restorekit.restore.engine import Quality, RunSettings
from restorekit.zoo import LoadedModel, find, load_model

Array = TypeVar("Array", NDArray[Any], Tensor)


def load(path_or_name: str, *, offline: bool = False) -> LoadedModel:
    """A model by the name of one that is installed, the path of a weights file, or `org/name` on the Hugging Face hub.

    Raises:
        ModelNotFoundError: there is no such model. WeightsError: the file is damaged or foreign.
    """
    return load_model(find(path_or_name, offline=offline))


def denoise(
    image: Array,
    sigma: float | Literal["auto"],
    *,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Remove Gaussian noise; the same kind of array comes back, of the same shape, dtype and device.

    Args:
        image: a NumPy array [H, W] or [H, W, 3], or a tensor [H, W], [C, H, W] or [B, C, H, W]. Integers are taken on
            the scale of their type, floats on [0, 1].
        sigma: standard deviation of the noise on the 0..255 scale, whatever the type; "auto" estimates it.
        model: a loaded model, a name or path, or None for the default grey or colour model.
        quality: which patches are coded: all, every second, every third in each direction.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile.

    Raises:
        UsageError: an argument that makes no sense. ModelMismatchError: a model for other images.
    """
    if quality not in {known.value for known in Quality}:
        raise UsageError(f"quality must be fast, balanced or best, not {quality!r}")
    if sigma != "auto" and not isinstance(sigma, (int, float)):
        raise UsageError(f"sigma must be a number on the 0..255 scale or 'auto', not {sigma!r}")
    if not isinstance(image, (np.ndarray, Tensor)):
        raise UsageError(f"an image must be a NumPy array or a tensor, not {type(image).__name__}")
    choice = ModelChoice(TASK, model)
    settings = RunSettings(Quality(quality), device, None if tile == "auto" else tile)
    operation = Denoise(None if sigma == "auto" else sigma / 255, choice, settings)
    if isinstance(image, Tensor):
        return _restore_tensor(image, operation)
    return _restore_array(image, operation)


def _restore_array(image: NDArray[Any], operation: Operation) -> NDArray[Any]:
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        raise UsageError(f"an array must be [H, W] or [H, W, 3], not of shape {list(image.shape)}")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise UsageError(f"an array must be uint8, uint16 or floating, not {image.dtype}")
    if not np.isfinite(image).all():
        raise UsageError("the array holds NaN or infinite values")
    return operation(Picture(image, Metadata("tiff"))).picture.pixels


def _restore_tensor(image: Tensor, operation: Operation) -> Tensor:
    if image.ndim == 4:
        return torch.stack([_restore_tensor(one, operation) for one in image])
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] not in (1, 3)):
        raise UsageError(f"a tensor must be [H, W], [C, H, W] or [B, C, H, W], not of shape {list(image.shape)}")
    pixels = image.detach().cpu().numpy()
    if image.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)
    restored = _restore_array(np.ascontiguousarray(pixels), operation)
    if image.ndim == 3:
        restored = np.moveaxis(restored, 2, 0) if restored.ndim == 3 else restored[None]
    return torch.from_numpy(np.ascontiguousarray(restored)).to(image.device)
