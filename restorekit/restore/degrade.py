"""Making pictures worse on purpose: simulated degradations, for tests and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from restorekit.errors import UnsupportedImageError
from restorekit.image import Picture, recompress
from restorekit.noise import add_gaussian_noise
from restorekit.physics.mosaic import BayerPattern, bayer_mask
from restorekit.restore.batch import Restored


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
        known = (("sigma", 255 * self.sigma),)
        if picture.pixels.dtype.kind == "f":
            worse = replace(picture, pixels=noisy.astype(picture.pixels.dtype))
            return Restored(worse, parameters=known)
        note = f"noise rounded and clipped to {8 * picture.pixels.itemsize} bits"
        return Restored(picture.with_float(noisy), parameters=known, notes=(note,))


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
        return Restored(decoded, parameters=known, notes=("compressed at 8 bits a channel",))


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
