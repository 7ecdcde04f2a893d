"""Words that options, recipes and files share, known without torch or NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from restorekit.errors import UsageError


class Quality(StrEnum):
    """How densely patches are coded: every third, every second or each in both directions.

    Networks without a choice of patches do the same for fast and balanced. For best they average the estimates of all
    dihedral views of the image.
    """

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"

    @property
    def stride(self) -> int:
        """Distance of coded patches in pixels."""
        return {Quality.FAST: 3, Quality.BALANCED: 2, Quality.BEST: 1}[self]


class BayerPattern(StrEnum):
    """The colours of the first 2x2 pixels, row by row; they repeat over the whole image."""

    RGGB = "rggb"
    BGGR = "bggr"
    GRBG = "grbg"
    GBRG = "gbrg"

    def channel(self, row: int, column: int) -> int:
        """Return which of R, G, B (0, 1, 2) a pixel observes."""
        return "rgb".index(self.value[2 * (row % 2) + column % 2])


class Boundary(StrEnum):
    """OPEN: the scene goes on beyond the edges, as in a photograph. CIRCULAR: the image repeats, as in the papers."""

    OPEN = "open"
    CIRCULAR = "circular"


class SamplingPattern(StrEnum):
    """How the samples of k-space lie."""

    RADIAL = "radial"
    CARTESIAN = "cartesian"
    RANDOM = "random"


CHANNELS: Mapping[int, str] = {1: "grey", 2: "complex", 3: "colour"}
"""The numbers of channels that images have, and the word for images of so many."""


@dataclass(frozen=True)
class Option:
    """How an option of a command is written and explained; the annotation of a field of an options dataclass.

    metavar: the placeholder of its value. flags: by default the field's name. choices: the values that a shell may
    complete. low, high: bounds of a number. panel: the heading in the help. argument: whether it has no flag.
    """

    help: str
    metavar: str = ""
    flags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    panel: str = ""
    argument: bool = False


@dataclass(frozen=True)
class DefaultModels:
    """The models that a task uses where none is named.

    By number of channels: general, the model for every conditioning; specialists, models that are better within the
    range on their cards; explained, the model for `--explain` where the general one has no atoms. takes_denoisers:
    whether a denoiser can take the place of a model trained for the task.
    """

    general: Mapping[int, str]
    specialists: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    explained: Mapping[int, str] = field(default_factory=dict)
    takes_denoisers: bool = False

    def names(self) -> tuple[str, ...]:
        """Return every default model once, the general ones first."""
        specialists = (name for names in self.specialists.values() for name in names)
        return tuple(dict.fromkeys([*self.general.values(), *specialists]))


@dataclass(frozen=True)
class Units:
    """What the conditioning of a task is called on cards and in tables: `sigma 0 to 75 (of 255)`."""

    label: str
    unit: str = ""


LEAST_TILE = 16
"""The least side of a tile, in pixels."""


@dataclass(frozen=True)
class RunSettings:
    """How to run a network. `device`: auto, cpu, cuda or cuda:N; `tile`: pixels across a tile, None for automatic."""

    quality: Quality = Quality.BALANCED
    device: str = "auto"
    tile: int | None = None

    @classmethod
    def parse(cls, quality: str, device: str, tile: str | int | None) -> Self:
        """Return settings as users write them. Raises UsageError for no quality and no side of a tile.

        The device is looked for when it is needed.
        """
        if quality not in tuple(Quality):
            raise UsageError(f"--quality {quality}: use one of {', '.join(Quality)}")
        if tile in (None, "auto"):
            return cls(Quality(quality), device)
        text = str(tile)
        if not text.isdecimal() or len(text) > 9 or int(text) < LEAST_TILE:
            raise UsageError(f"--tile {tile}: use auto or a number of pixels from {LEAST_TILE} on, as in --tile 256")
        return cls(Quality(quality), device, int(text))


@dataclass(frozen=True)
class RunReport:
    """What a network took: the device, the number of tiles at full size, and seconds of the network alone."""

    device: str
    tiles: int
    seconds: float

    @classmethod
    def total(cls, reports: Sequence[Self]) -> Self:
        """Return the report of several runs on one device."""
        tiles, seconds = sum(report.tiles for report in reports), sum(report.seconds for report in reports)
        return cls(reports[0].device, tiles, seconds)
