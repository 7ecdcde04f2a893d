"""Draw images/before_after.png, the README's figure: a part of images/noisy.png as it is, and denoised, twice enlarged.

`PYTHONPATH=. python docs/make_figures.py` from the top of the repository, whenever the weights have changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import restorekit
from restorekit.image import Metadata, Picture, read_picture, write_picture

IMAGES = Path(__file__).with_name("images")
CROP = np.s_[60:200, 115:315]
ENLARGEMENT = 2
GAP = 8
"""White columns between the two."""


def main() -> None:
    """Denoise at sigma 25, the level the noise was made with, as well as the default model can."""
    noisy = read_picture(IMAGES / "noisy.png").pixels
    denoised = restorekit.denoise(noisy, sigma=25, quality="best", device="cpu")
    before, after = (pixels[CROP].repeat(ENLARGEMENT, 0).repeat(ENLARGEMENT, 1) for pixels in (noisy, denoised))
    gap = np.full((len(before), GAP, 3), 255, np.uint8)
    figure = Picture(np.hstack((before, gap, after)), Metadata("png"))
    write_picture(IMAGES / "before_after.png", figure, overwrite=True)


if __name__ == "__main__":
    main()
