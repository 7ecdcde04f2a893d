"""Making pictures worse on purpose: simulated degradations, for tests and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UnsupportedImageError
from restorekit.image import Picture, recompress
from restorekit.inference.runner import as_batch, as_pixels
from restorekit.physics.blur import CircularBlur
from restorekit.physics.decimation import bicubic_decimation
from restorekit.physics.mosaic import bayer_mask
from restorekit.physics.noise import add_gaussian_noise
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.boundary import extend_periodic
from restorekit.restore.deblur import check_kernel
from restorekit.restore.superres import resized, shrink_bicubic
from restorekit.types import BayerPattern, Boundary


@dataclass(frozen=True)
class AddNoise:
    """y = x + sigma n, n standard normal from `seed`: the same noise for every picture of the same size.

    sigma is in [0, 1]. Integer pictures are rounded and clipped to their depth, which makes the noise a little weaker
    in shadows and highlights; float pictures keep values outside [0, 1].
    """

    sigma: float
    seed: int

    def __call__(self, picture: Picture) -> Restored:
        """The picture with noise."""
        noisy = add_gaussian_noise(picture.to_float(), self.sigma, self.seed)
        worse, notes = _with_noisy(picture, noisy)
        return Restored(worse, parameters=(("sigma", 255 * self.sigma),), notes=notes)


@dataclass(frozen=True)
class CompressJpeg:
    """A JPEG of one quality factor, 1 to 100, with 4:2:0 colour, as libjpeg makes it.

    Where the output is a JPEG, it is that very file; elsewhere its decoded pixels. Pictures deeper than 8 bits are
    compressed at 8 bits and keep their depth. Alpha is kept.
    """

    quality_factor: int

    def __call__(self, picture: Picture) -> Restored:
        """The picture as the JPEG shows it."""
        known = (("quality_factor", self.quality_factor),)
        if picture.pixels.dtype == np.uint8:
            decoded = replace(picture, pixels=recompress(picture.pixels, self.quality_factor))
            return Restored(decoded, parameters=known, jpeg=(picture, self.quality_factor))
        shallow = np.rint(np.clip(picture.to_float(), 0, 1) * 255).astype(np.uint8)
        decoded = picture.with_float(recompress(shallow, self.quality_factor) / np.float32(255))
        notes = (*scale_notes(picture), "compressed at 8 bits a channel")
        return Restored(decoded, parameters=known, notes=notes)


@dataclass(frozen=True)
class MakeMosaic:
    """y[i, j] = x[i, j, c], c the channel that pixel (i, j) observes: a grey picture of the same depth, unrounded."""

    pattern: BayerPattern

    def __call__(self, picture: Picture) -> Restored:
        """The mosaic of a colour picture. Raises UnsupportedImageError for a grey one."""
        if picture.is_grey:
            raise UnsupportedImageError("a grey picture; a mosaic is made of a colour picture")
        notes: tuple[str, ...] = ()
        if picture.alpha is not None:
            notes += ("alpha channel left out, as a mosaic has none",)
        if picture.metadata.icc:
            notes += ("ICC profile of a colour picture left out of a grey one",)
        height, width = picture.pixels.shape[:2]
        observed = bayer_mask(height, width, self.pattern).numpy().astype(bool)
        mosaic = picture.pixels[observed].reshape(height, width)
        metadata = replace(picture.metadata, icc=b"")
        return Restored(Picture(mosaic, metadata), parameters=(("pattern", self.pattern.value),), notes=notes)


@dataclass(frozen=True)
class Blur:
    """y = k * x + sigma n: convolution with a normalised kernel [kh, kw], and noise as `AddNoise` has it.

    boundary: with OPEN, a picture is continued by its mirror image.
    """

    kernel: Tensor
    sigma: float
    seed: int
    boundary: Boundary

    def __call__(self, picture: Picture) -> Restored:
        """The picture blurred. Raises UsageError if the kernel is larger."""
        height, width = picture.pixels.shape[:2]
        check_kernel(self.kernel, picture.pixels.shape)
        x = as_batch(picture.to_float(), torch.device("cpu"))
        if self.boundary is Boundary.OPEN:
            x = extend_periodic(x, 2 * max(self.kernel.shape))
        blurred = as_pixels(CircularBlur(self.kernel).A(x)[..., :height, :width], picture.pixels.ndim)
        known = (("noise", 255 * self.sigma),)
        if self.sigma == 0:
            return Restored(picture.with_float(blurred), parameters=known)
        worse, notes = _with_noisy(picture, add_gaussian_noise(blurred, self.sigma, self.seed))
        return Restored(worse, parameters=known, notes=notes)


@dataclass(frozen=True)
class Downsample:
    """torch's bicubic interpolation by 1 / scale, a = -0.75, without antialiasing: what `Superres` takes back.

    scale: 2, 3 or 4.

    Raises:
        UsageError: another scale.
    """

    scale: int

    def __post_init__(self) -> None:
        bicubic_decimation(self.scale)

    def __call__(self, picture: Picture) -> Restored:
        """The picture made small. Raises UnsupportedImageError if there is nothing left of it."""
        height, width = picture.pixels.shape[:2]
        if min(height, width) < self.scale:
            raise UnsupportedImageError(f"{width}x{height} pixels, of which one in {self.scale} leaves nothing")
        small = resized(picture, lambda x: shrink_bicubic(x, self.scale))
        notes: tuple[str, ...] = ()
        if height % self.scale or width % self.scale:
            notes = (f"cut to multiples of {self.scale}: {width - width % self.scale}x{height - height % self.scale}",)
        return Restored(small, parameters=(("scale", self.scale),), notes=notes)


def _with_noisy(picture: Picture, noisy: NDArray[np.float32]) -> tuple[Picture, tuple[str, ...]]:
    """The picture with noisy pixels in its own depth, and a remark if that cuts noise off."""
    if picture.pixels.dtype.kind == "f":
        return replace(picture, pixels=noisy.astype(picture.pixels.dtype)), ()
    return picture.with_float(noisy), (f"noise rounded and clipped to {8 * picture.pixels.itemsize} bits",)
