"""Deblocking as something to measure: clean images compressed as JPEG, on luma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restorekit.errors import UsageError
from restorekit.evaluate.benchmark import SCORING
from restorekit.evaluate.results import Level
from restorekit.image import Picture, recompress
from restorekit.physics.jpeg import error_level, rgb_to_ycbcr, scale_of

Image = npt.NDArray[np.float32]

_TV_RATIO = 0.35


@dataclass(frozen=True)
class JpegCompression:
    """The `Degradation` that libjpeg makes of 8-bit luma at each quality factor.

    levels: quality factors, 1 to 100.

    Raises:
        UsageError: a level that is none.
    """

    levels: tuple[int, ...]
    task: str = "deblock"
    axis: str = "quality_factor"
    protocol: str = (
        "Luma (ITU-R BT.601 over the full range, rounded to 8 bits; of grey images the image itself) is compressed as "
        "a grey JPEG by libjpeg and decoded; the decoded luma is what methods get. " + SCORING
    )

    def __post_init__(self) -> None:
        for quality_factor in self.levels:
            scale_of(quality_factor)

    @property
    def untouched(self) -> DeblockBaseline:
        """The decoded JPEG itself."""
        return deblock_baseline("jpeg")

    def prepare(self, picture: Picture) -> Image:
        """Luma [H, W] on the grid of 8 bits."""
        pixels = picture.to_float()
        luma = pixels if picture.is_grey else rgb_to_ycbcr(pixels)[..., 0]
        return _to_float(_to_8_bits(luma))

    def observe(self, clean: Image, level: int, seed: int) -> Image:
        """The clean luma, compressed; nothing is random."""
        return _to_float(recompress(_to_8_bits(clean), level))

    def describe(self, level: int) -> Level:
        """Such as `quality 10`."""
        return Level(level, f"quality {level}")


@dataclass(frozen=True)
class DeblockBaseline:
    """A `Method` at `JpegCompression`: luma [H, W] and its quality factor -> luma."""

    name: str
    method: Callable[[Image, int], npt.NDArray[np.floating]]

    def __call__(self, compressed: Image, quality_factor: int) -> Image:
        """The estimate, float32."""
        return np.asarray(self.method(compressed, quality_factor), np.float32)


def deblock_baseline(name: str) -> DeblockBaseline:
    """The baseline of that name, one of `DEBLOCK_BASELINES`.

    Raises:
        UsageError: there is none.
    """
    if name not in _METHODS:
        raise UsageError(f"no baseline is named {name!r}; choose {', '.join(DEBLOCK_BASELINES)}")
    return DeblockBaseline(name, _METHODS[name])


def _to_8_bits(luma: Image) -> npt.NDArray[np.uint8]:
    return np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8)


def _to_float(luma: npt.NDArray[np.uint8]) -> Image:
    return np.divide(luma, np.float32(255), dtype=np.float32)


def _jpeg(compressed: Image, quality_factor: int) -> Image:
    return compressed


def _tv(compressed: Image, quality_factor: int) -> npt.NDArray[np.floating]:
    """Chambolle's method; the weight over the error level was best on twelve photographs of BSDS500's training set."""
    from skimage.restoration import denoise_tv_chambolle

    weight = _TV_RATIO * error_level(quality_factor)
    return np.asarray(denoise_tv_chambolle(compressed, weight=weight))  # type: ignore[no-untyped-call]


_METHODS: dict[str, Callable[[Image, int], npt.NDArray[np.floating]]] = {"jpeg": _jpeg, "tv": _tv}

DEBLOCK_BASELINES = tuple(_METHODS)
