"""Words that options, recipes and files share, known without torch or NumPy."""

from __future__ import annotations

from enum import StrEnum


class Quality(StrEnum):
    """How densely patches are coded: every one, every second or every third in each direction.

    Where a network has no choice of patches, fast is balanced, and best averages over the turns of the image.
    """

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"

    @property
    def stride(self) -> int:
        """Distance of coded patches in pixels."""
        return {Quality.FAST: 3, Quality.BALANCED: 2, Quality.BEST: 1}[self]


class BayerPattern(StrEnum):
    """The colours of the 2x2 pixels at the top left corner, row by row; they repeat over the whole image."""

    RGGB = "rggb"
    BGGR = "bggr"
    GRBG = "grbg"
    GBRG = "gbrg"

    def channel(self, row: int, column: int) -> int:
        """Which of R, G, B (0, 1, 2) the pixel observes."""
        return "rgb".index(self.value[2 * (row % 2) + column % 2])


class Boundary(StrEnum):
    """OPEN: the scene goes on, as in any photograph. CIRCULAR: the picture repeats itself, as in the papers."""

    OPEN = "open"
    CIRCULAR = "circular"


class SamplingPattern(StrEnum):
    """How the samples of k-space lie."""

    RADIAL = "radial"
    CARTESIAN = "cartesian"
    RANDOM = "random"
