"""Making pictures worse on purpose: simulated degradations, for tests and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from restorekit.image import Picture
from restorekit.noise import add_gaussian_noise
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
