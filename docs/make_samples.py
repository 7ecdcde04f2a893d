"""Make the sample files in samples/ from pictures that scikit-image ships and from a phantom.

`PYTHONPATH=. python docs/make_samples.py` from the top of the repository.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from restorekit.image import Metadata, Picture, write_picture

SAMPLES = Path(__file__).with_name("samples")
PHOTOS = {
    "cat": data.chelsea()[20:260, 90:410],
    "coffee": data.coffee()[60:380, 100:500],
    "rocket": data.rocket()[60:400, 180:500],
}
"""Parts of three photographs, each to be halved in size."""
DEGRADED = {
    "noisy.png": ("coffee", "noise", "--sigma", "25"),
    "mosaic.png": ("cat", "mosaic", "--pattern", "rggb"),
    "compressed.jpg": ("rocket", "jpeg", "--quality-factor", "15"),
    "blurred.png": ("cat", "blur", "--kernel", "gaussian:2", "--noise", "2.55"),
    "small.png": ("coffee", "downsample", "--scale", "2"),
}
"""Sample: the photograph it is made from, and how."""
ELLIPSES = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0),
)
"""Of the phantom: value, half axes, centre, turn in degrees (Toft 1996, after Shepp and Logan 1974)."""


def main() -> None:
    """Write all samples."""
    for name, pixels in PHOTOS.items():
        save(SAMPLES / "photos" / f"{name}.png", halved(pixels))
    for sample, (photo, kind, *options) in DEGRADED.items():
        degrade(kind, SAMPLES / "photos" / f"{photo}.png", sample, *options)
    save(SAMPLES / "phantom.png", phantom(128))
    degrade("kspace", SAMPLES / "phantom.png", "kspace.npy", "--simulate", "radial:0.3")


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2x2 pixels, which have less noise and no traces of compression."""
    blocks = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 2, 3)
    return np.rint(blocks.mean((1, 3), dtype=float)).astype(np.uint8)


def phantom(side: int) -> NDArray[np.uint8]:
    """Return the Shepp-Logan phantom with the contrast of Toft; every pixel is the mean of 4x4 points."""
    fine = 4 * side
    across = (2 * np.arange(fine) + 1) / fine - 1
    x, y = np.meshgrid(across, -across)
    values = np.zeros((fine, fine))
    for value, a, b, x0, y0, turn in ELLIPSES:
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        u, v = (x - x0) * cos + (y - y0) * sin, (y - y0) * cos - (x - x0) * sin
        values += value * ((u / a) ** 2 + (v / b) ** 2 <= 1)
    return np.rint(255 * values.reshape(side, 4, side, 4).mean((1, 3)).clip(0, 1)).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write 8 bits to a PNG file."""
    path.parent.mkdir(exist_ok=True)
    write_picture(path, Picture(pixels, Metadata("png")), overwrite=True)


def degrade(kind: str, source: Path, sample: str, *options: str) -> None:
    """Run `restorekit degrade`."""
    command = [sys.executable, "-m", "restorekit", "degrade", kind, str(source), "-o", str(SAMPLES / sample)]
    subprocess.run([*command, *options, "--overwrite"], check=True)


if __name__ == "__main__":
    main()
