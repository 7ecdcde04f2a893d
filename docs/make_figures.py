"""Draw the figures of the README and of explain.md from images/noisy.png.

images/before_after.png: a part of it as it is, and denoised, twice enlarged. images/explained.png: the estimate, how
many atoms patches take, and how far they disagree.

`PYTHONPATH=. python docs/make_figures.py` from the top of the repository, whenever the weights have changed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit.image import Metadata, Picture, read_picture, write_picture

IMAGES = Path(__file__).with_name("images")
CROP = np.s_[60:200, 115:315]
ENLARGEMENT = 2
GAP = 8
"""White columns between two pictures."""
PIXEL = "150,120"
"""What is explained: an eye."""
EXPLAINED = np.s_[30:170, 80:220]
"""The part of the explanation's window that is shown."""


def main() -> None:
    """Draw them all, by the commands that the pages show."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        denoise("auto", folder / "denoised.png")
        pictures = [read_picture(path).pixels[CROP] for path in (IMAGES / "noisy.png", folder / "denoised.png")]
        draw("before_after.png", [pixels.repeat(ENLARGEMENT, 0).repeat(ENLARGEMENT, 1) for pixels in pictures])
        # Every patch is restored, so that the maps have a value for every pixel.
        page = folder / "why"
        denoise("25", folder / "explained.png", "--quality", "best", "--explain", str(page), "--at", PIXEL)
        maps = ("result", "atom-counts", "confidence")
        draw("explained.png", [read_picture(page / f"{name}.png").pixels[EXPLAINED] for name in maps])


def denoise(sigma: str, target: Path, *options: str) -> None:
    """Run `restorekit denoise` on the noisy picture."""
    command = [sys.executable, "-m", "restorekit", "denoise", str(IMAGES / "noisy.png"), "-o", str(target)]
    subprocess.run([*command, "--sigma", sigma, "--device", "cpu", *options], check=True)


def draw(name: str, parts: list[NDArray[Any]]) -> None:
    """Write pictures of one height side by side."""
    gap = np.full((len(parts[0]), GAP, 3), 255, np.uint8)
    columns = [column for part in parts for column in (part, gap)][:-1]
    write_picture(IMAGES / name, Picture(np.hstack(columns), Metadata("png")), overwrite=True)


if __name__ == "__main__":
    main()
