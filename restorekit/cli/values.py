"""Option values that are more than a number or a word."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.inference.runner import RunSettings
    from restorekit.physics.kspace import Sampling
    from restorekit.types import BayerPattern, Boundary

AUTO = "auto"

PATTERNS = ("rggb", "bggr", "grbg", "gbrg")
"""The values of `BayerPattern`, known before torch is loaded."""

BOUNDARIES = ("open", "circular")
"""The values of `Boundary`, likewise."""


def parse_sigma(text: str) -> float:
    """A noise level on the scale 0..255 as one in [0, 1]; how large a model takes it is for its card to say."""
    return _positive(text, "a number above 0 up to 75 (on the scale 0..255), or auto") / 255


def parse_simulated_sigma(text: str) -> float:
    """The level of noise to be made, on the scale 0..255, as one in [0, 1]."""
    usable = "a number above 0 up to 255"
    sigma = _positive(text, usable)
    if sigma > 255:
        raise UsageError(f"sigma {text} is not a noise level; use {usable}")
    return sigma / 255


def parse_noise(text: str) -> float:
    """A noise level on the scale 0..255, which may be 0, as one in [0, 1]."""
    try:
        sigma = float(text)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= 255:
        raise UsageError(f"noise {text} is not a noise level; use a number from 0 to 255")
    return sigma / 255


def _positive(text: str, usable: str) -> float:
    try:
        sigma = float(text)
    except ValueError:
        sigma = math.nan
    if not (math.isfinite(sigma) and sigma > 0):
        raise UsageError(f"sigma {text} is not a noise level; use {usable}")
    return sigma


def parse_pattern(text: str) -> BayerPattern:
    """A Bayer pattern, in upper or lower case."""
    from restorekit.types import BayerPattern

    if text.lower() not in PATTERNS:
        known = ", ".join(PATTERNS)
        raise UsageError(f"--pattern {text}: use one of {known}, the colours of the first 2x2 pixels")
    return BayerPattern(text.lower())


def parse_sampling(text: str, option: str) -> Sampling:
    """A pattern and a share of k-space, such as radial:0.3."""
    from restorekit.physics.kspace import Sampling
    from restorekit.types import SamplingPattern

    pattern, _, share = text.partition(":")
    try:
        return Sampling(SamplingPattern(pattern), float(share))
    except ValueError:
        known = ", ".join(f"{known.value}:0.3" for known in SamplingPattern)
        raise UsageError(
            f"{option} {text}: name a pattern and the share of k-space to sample, one of {known}"
        ) from None


def parse_boundary(text: str) -> Boundary:
    """What lies beyond the edges."""
    from restorekit.types import Boundary

    if text not in BOUNDARIES:
        raise UsageError(f"--boundary {text}: use one of {', '.join(BOUNDARIES)}")
    return Boundary(text)


def parse_pixel(text: str) -> tuple[int, int]:
    """A pixel as x and y, from 0 on."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--at {text}: name a pixel by its column and row, as in --at 120,80")
    return int(parts[0]), int(parts[1])


def parse_settings(quality: str, device: str, tile: str) -> RunSettings:
    """Quality, device and tile size as the engine takes them; the device is looked for when it is needed."""
    from restorekit.inference.runner import RunSettings
    from restorekit.types import Quality

    try:
        level = Quality(quality)
    except ValueError:
        known = ", ".join(known.value for known in Quality)
        raise UsageError(f"--quality {quality}: use one of {known}") from None
    return RunSettings(level, device, _parse_tile(tile))


def _parse_tile(text: str) -> int | None:
    if text == AUTO:
        return None
    from restorekit.inference.runner import LEAST_TILE

    if not text.isdecimal() or int(text) < LEAST_TILE:
        raise UsageError(f"--tile {text}: use auto or a number of pixels from {LEAST_TILE} on, as in --tile 256")
    return int(text)
