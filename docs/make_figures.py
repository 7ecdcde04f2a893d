"""Draw the figures of the README and of explain.md from images/noisy.png.

images/before_after.png: a part of it as it is, and denoised, twice enlarged. images/explained.png: the estimate, how
many atoms patches take, and how far they disagree.

`PYTHONPATH=. python docs/make_figures.py` from the top of the repository, whenever the weights have changed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import restorekit
from restorekit.explain import Explained
from restorekit.image import Metadata, Picture, read_picture, write_picture
from restorekit.inference.runner import RunSettings
from restorekit.restore.denoise import TASK, Denoise
from restorekit.types import Quality
from restorekit.zoo.selection import ModelSelection

IMAGES = Path(__file__).with_name("images")
CROP = np.s_[60:200, 115:315]
ENLARGEMENT = 2
GAP = 8
"""White columns between two pictures."""
PIXEL = (150, 120)
"""What is explained: an eye."""
EXPLAINED = np.s_[30:170, 80:220]
"""The part of the explanation's window that is shown."""


def main() -> None:
    """Draw them all."""
    draw_before_and_after()
    draw_explanation()


def draw_before_and_after() -> None:
    """Denoise at sigma 25, the level the noise was made with, as well as the default model can."""
    noisy = read_picture(IMAGES / "noisy.png").pixels
    denoised = restorekit.denoise(noisy, sigma=25, quality="best", device="cpu")
    before, after = (pixels[CROP].repeat(ENLARGEMENT, 0).repeat(ENLARGEMENT, 1) for pixels in (noisy, denoised))
    gap = np.full((len(before), GAP, 3), 255, np.uint8)
    figure = Picture(np.hstack((before, gap, after)), Metadata("png"))
    write_picture(IMAGES / "before_after.png", figure, overwrite=True)


def draw_explanation() -> None:
    """Explain with every patch restored, so that the maps have a value for every pixel."""
    denoise = Denoise(25 / 255, ModelSelection(TASK, None, explained=True), RunSettings(Quality.BEST, "cpu"))
    with tempfile.TemporaryDirectory() as folder:
        Explained(denoise, "noisy.png", Path(folder), overwrite=True, at=PIXEL)(read_picture(IMAGES / "noisy.png"))
        names = ("result", "atom-counts", "confidence")
        parts = [read_picture(Path(folder, f"{name}.png")).pixels[EXPLAINED] for name in names]
    gap = np.full((len(parts[0]), GAP, 3), 255, np.uint8)
    figure = Picture(np.hstack((parts[0], gap, parts[1], gap, parts[2])), Metadata("png"))
    write_picture(IMAGES / "explained.png", figure, overwrite=True)


if __name__ == "__main__":
    main()
