"""Arrays and tensors in memory, restored by any task."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.batch.run import Operation
from restorekit.errors import UsageError
from restorekit.image import Metadata, Picture
from restorekit.tasks.base import Run, Task, command_help
from restorekit.types import Option, RunSettings
from restorekit.zoo import LoadedModel

Array = TypeVar("Array", NDArray[Any], Tensor)


def restore(
    task: Task[Any],
    image: Array,
    options: Any,
    model: LoadedModel | str | None = None,
    *,
    iterations: int | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Restore an image by any task; return the same kind of array, of the same dtype and device.

    task: one of `restorekit.tasks`, or your own. options: an instance of `task.Options`. model: a loaded model, a name
    or path, or None for the default one. iterations: how many, None for as many as measured best. The rest, and what is
    raised, is as in `restorekit.denoise`.
    """
    if not isinstance(image, (np.ndarray, Tensor)):
        raise UsageError(f"an image must be a NumPy array or a tensor, not {type(image).__name__}")
    settings = RunSettings.parse(quality, device, tile)
    task.check(options, ())
    operation = task.prepare(options, Run(task.select(options, model, iterations=iterations), settings, iterations))
    return _restore_tensor(image, operation) if isinstance(image, Tensor) else _restore_array(image, operation)


def function_of(task: Task[Any]) -> Callable[..., Any]:
    """Return the function in Python of a task whose file has none: an image, `task.Options`, then as in `restore`."""

    def function(
        image: Array,
        *values: Any,
        model: LoadedModel | str | None = None,
        iterations: int | None = None,
        quality: Literal["fast", "balanced", "best"] = "balanced",
        device: str = "auto",
        tile: int | Literal["auto"] = "auto",
        **named: Any,
    ) -> Array:
        options = task.Options(*values, **named)
        _check_bounds(options)
        if iterations is not None and not task.iterates:
            raise UsageError(f"{task.name} does not iterate; leave out iterations")
        return restore(task, image, options, model, iterations=iterations, quality=quality, device=device, tile=tile)

    function.__name__ = function.__qualname__ = task.name.replace("-", "_")
    function.__doc__ = command_help(type(task))
    return function


def _check_bounds(options: Any) -> None:
    """Raise UsageError for a value that is no number, or out of the bounds, where its `Option` has some."""
    for name, hint in get_type_hints(type(options), include_extras=True).items():
        option, value = next((one for one in get_args(hint) if isinstance(one, Option)), None), getattr(options, name)
        if option is None or value is None or (option.low is None and option.high is None):
            continue
        low, high = -math.inf if option.low is None else option.low, math.inf if option.high is None else option.high
        if not isinstance(value, Real) or not low <= float(value) <= high:
            raise UsageError(f"{name} {value!r}: use a number from {low:g} to {high:g}")


def _restore_array(image: NDArray[Any], operation: Operation) -> NDArray[Any]:
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
        raise UsageError(f"an array must be [H, W] or [H, W, 3], not of shape {list(image.shape)}")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise UsageError(f"an array must be uint8, uint16 or floating, not {image.dtype}")
    if not np.isfinite(image).all():
        raise UsageError("the array holds NaN or infinite values")
    restored: Any = operation(Picture(image, Metadata("tiff")))
    pixels: NDArray[Any] = restored.picture.pixels
    return pixels


def _restore_tensor(image: Tensor, operation: Operation) -> Tensor:
    if image.ndim == 4:
        if not len(image):
            raise UsageError("an empty batch of images")
        return torch.stack([_restore_tensor(one, operation) for one in image])
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[0] not in (1, 3)):
        raise UsageError(f"a tensor must be [H, W], [C, H, W] or [B, C, H, W], not of shape {list(image.shape)}")
    if image.dtype is torch.bfloat16:
        raise UsageError("a tensor of bfloat16 cannot be restored; use float16 or float32")
    pixels = image.detach().cpu().numpy()
    if image.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)
    restored = _restore_array(np.ascontiguousarray(pixels), operation)
    if restored.ndim == 3:
        restored = np.moveaxis(restored, 2, 0)
    elif image.ndim == 3:
        restored = restored[None]
    return torch.from_numpy(np.ascontiguousarray(restored)).to(image.device)
