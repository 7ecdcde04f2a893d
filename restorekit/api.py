"""The Python interface: load a model, restore an array."""

from __future__ import annotations

import operator
from numbers import Real
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.image import Metadata, Picture
from restorekit.inference.plug_and_play import models_for
from restorekit.inference.runner import RunSettings
from restorekit.physics.blur import normalise_kernel
from restorekit.physics.decimation import bicubic_decimation
from restorekit.physics.kspace import MaskFile
from restorekit.restore import deblock as deblocking
from restorekit.restore import deblur as deblurring
from restorekit.restore import demosaic as demosaicking
from restorekit.restore import denoise as denoising
from restorekit.restore import superres as enlarging
from restorekit.restore.batch import Operation
from restorekit.restore.cs_mri import choose_cs_mri
from restorekit.restore.kernel import parse_kernel
from restorekit.restore.scans import ReconstructFile
from restorekit.types import BayerPattern, Boundary, Quality
from restorekit.zoo import LoadedModel, find, load_model
from restorekit.zoo.selection import ModelSelection

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
        model: a loaded model, a name or path, or None for the one that measures best on grey or colour images at sigma.
        quality: fast, balanced or best: every third, every second or each patch, or, by networks without a choice of
            patches, once, once or over all turns of the image; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile.

    Raises:
        UsageError: an argument that makes no sense. ModelMismatchError: a model for other images.
    """
    settings = _settings(quality, device, tile)
    choice = ModelSelection(denoising.TASK, model)
    return _restore(image, denoising.Denoise(_level(sigma, "sigma"), choice, settings))


def demosaic(
    image: Array,
    pattern: Literal["rggb", "bggr", "grbg", "gbrg"],
    *,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Make a colour image of a mosaic; the same kind of array comes back, of the same dtype and device.

    Args:
        image: a NumPy array [H, W], which becomes [H, W, 3], or a tensor [H, W] or [1, H, W], which becomes [3, H, W],
            or [B, 1, H, W], which becomes [B, 3, H, W]. Integers are taken on the scale of their type, floats on
            [0, 1].
        pattern: the colours of its first 2x2 pixels, row by row.
        model: a loaded model, a name or path, or None for the default one.
        quality: fast, balanced or best; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile.

    Raises:
        UsageError: an argument that makes no sense. UnsupportedImageError: a colour image.
        ModelMismatchError: a model for other images.
    """
    known = [one.value for one in BayerPattern]
    if pattern not in known:
        raise UsageError(f"pattern must be one of {', '.join(known)}, not {pattern!r}")
    settings = _settings(quality, device, tile)
    choice = ModelSelection(demosaicking.TASK, model)
    return _restore(image, demosaicking.Demosaic(BayerPattern(pattern), choice, settings))


def deblock(
    image: Array,
    quality_factor: int,
    *,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Remove what JPEG compression did; the same kind of array comes back, of the same shape, dtype and device.

    Args:
        image: the decoded JPEG, as `denoise` takes images.
        quality_factor: of the compression, 1 to 100, as libjpeg counts.
        model: a loaded model, a name or path, or None for the default one.
        quality: fast, balanced or best; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile.

    Raises:
        UsageError: an argument that makes no sense. ModelMismatchError: a model for other images.
    """
    try:
        whole = operator.index(quality_factor)
    except TypeError:
        raise UsageError(f"quality_factor must be a whole number from 1 to 100, not {quality_factor!r}") from None
    settings = _settings(quality, device, tile)
    return _restore(image, deblocking.Deblock(whole, ModelSelection(deblocking.TASK, model), settings))


def deblur(
    image: Array,
    kernel: NDArray[Any] | Tensor | str,
    *,
    noise: float | Literal["auto"] = "auto",
    boundary: Literal["open", "circular"] = "open",
    iterations: int | None = None,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Undo a blur that is known; the same kind of array comes back, of the same shape, dtype and device.

    Args:
        image: the blurred image, as `denoise` takes images.
        kernel: what a point became, [kh, kw] of odd sides, which is made to sum to 1; or, as on the command line,
            "gaussian:SIGMA", "motion:LENGTH,ANGLE" or the path of a picture or an .npy file.
        noise: standard deviation of the noise on the 0..255 scale; "auto" estimates it.
        boundary: whether the scene goes on beyond the edges, or the image repeats itself.
        iterations: how many, None for as many as measured best.
        model: a loaded model, a name or path, trained for this or to denoise, or None for the default one.
        quality: fast, balanced or best; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile of the denoiser.

    Raises:
        UsageError: an argument that makes no sense. ModelMismatchError: a model for other images.
    """
    known = [one.value for one in Boundary]
    if boundary not in known:
        raise UsageError(f"boundary must be one of {', '.join(known)}, not {boundary!r}")
    if isinstance(kernel, str):
        taps = parse_kernel(kernel)
    elif isinstance(kernel, (np.ndarray, Tensor)):
        taps = normalise_kernel(torch.as_tensor(kernel, device="cpu"))
    else:
        raise UsageError(f"a kernel is an array, a tensor or a name such as 'gaussian:2', not {kernel!r}")
    settings = _settings(quality, device, tile)
    level = _level(noise, "noise")
    choice = models_for(deblurring.TASK, model, iterations, level)
    return _restore(image, deblurring.Deblur(taps, level, choice, settings, Boundary(boundary), iterations))


def superres(
    image: Array,
    scale: Literal[2, 3, 4],
    *,
    noise: float | Literal["auto"] = 0,
    iterations: int | None = None,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
    tile: int | Literal["auto"] = "auto",
) -> Array:
    """Enlarge an image; the same kind of array comes back, `scale` times as high and wide, of its dtype and device.

    Args:
        image: what bicubic downsampling without antialiasing left, as `denoise` takes images.
        scale: 2, 3 or 4.
        noise: standard deviation of the noise on the 0..255 scale; "auto" estimates it.
        iterations: how many, None for as many as measured best.
        model: a loaded model, a name or path, trained for this or to denoise, or None for the default one.
        quality: fast, balanced or best; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.
        tile: pixels across a tile of the denoiser.

    Raises:
        UsageError: an argument that makes no sense. ModelMismatchError: a model for other images.
    """
    settings = _settings(quality, device, tile)
    level = _level(noise, "noise")
    bicubic_decimation(scale)  # Raises before a model is looked for that was made for it.
    choice = models_for(enlarging.TASK, model, iterations, level, scale)
    return _restore(image, enlarging.Superres(scale, level, choice, settings, iterations))


def cs_mri(
    kspace: Array,
    mask: NDArray[Any] | Tensor | None = None,
    *,
    centred: bool = True,
    noise: float = 0,
    iterations: int | None = None,
    model: LoadedModel | str | None = None,
    quality: Literal["fast", "balanced", "best"] = "balanced",
    device: str = "auto",
) -> Array:
    """Reconstruct images from a part of their k-space; complex64 comes back, an array or a tensor of the same shape.

    Args:
        kspace: of one coil, a complex array or tensor, [H, W] or [slices, H, W].
        mask: which frequencies were measured, zeros and ones, [H, W], or [1, W] for whole columns; None for those that
            are not zero.
        centred: whether zero frequency is in the middle of k-space and mask, or else at [0, 0].
        noise: its standard deviation in k-space, 255 being the greatest magnitude of the image.
        iterations: how many, None for as many as measured best, or as the model was trained for.
        model: a loaded model, a name or path, trained for this or to denoise grey images; "tv" for total variation; or
            None for the default one.
        quality: fast, balanced or best; see `restore.engine.Quality`.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: an argument that makes no sense. UnsupportedImageError: a mask of another shape, or an empty one.
        ModelMismatchError: a model for something else.
    """
    method = choose_cs_mri(model, _settings(quality, device, "auto"), iterations)
    method.check_noise(noise / 255)
    source = None if mask is None else MaskFile(_checked(mask, "a mask", "biuf", (2,)) != 0, centred)
    slices = _checked(kspace, "k-space", "c", (2, 3)).astype(np.complex64)
    operation = ReconstructFile(method, source, centred, noise / 255)
    images = operation.reconstruct(slices.reshape(-1, *slices.shape[-2:])).slices.reshape(slices.shape)
    return torch.from_numpy(images).to(kspace.device) if isinstance(kspace, Tensor) else images


def _checked(values: NDArray[Any] | Tensor, name: str, kinds: str, dimensions: tuple[int, ...]) -> NDArray[Any]:
    """As an array. Raises UsageError for what is none, of another kind (as in `dtype.kind`), or not finite."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim not in dimensions:
        numbers = "complex numbers" if kinds == "c" else "real numbers"
        raise UsageError(f"{name} must be an array or a tensor of {numbers}, [{'slices, ' * (3 in dimensions)}H, W]")
    if not array.size or not np.isfinite(array).all():
        raise UsageError(f"{name} is empty, or holds NaN or infinite values")
    return array


def _level(value: object, name: str) -> float | None:
    """A standard deviation on the 0..255 scale in [0, 1], None for "auto"."""
    if value == "auto":
        return None
    if not isinstance(value, Real):
        raise UsageError(f"{name} must be a number on the 0..255 scale or 'auto', not {value!r}")
    return float(value) / 255


def _settings(quality: str, device: str, tile: int | Literal["auto"]) -> RunSettings:
    if quality not in {known.value for known in Quality}:
        raise UsageError(f"quality must be fast, balanced or best, not {quality!r}")
    return RunSettings(Quality(quality), device, None if tile == "auto" else tile)


def _restore(image: Array, operation: Operation) -> Array:
    if isinstance(image, Tensor):
        return _restore_tensor(image, operation)
    if isinstance(image, np.ndarray):
        return _restore_array(image, operation)
    raise UsageError(f"an image must be a NumPy array or a tensor, not {type(image).__name__}")


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
