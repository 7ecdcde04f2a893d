"""What a page says of each task: what the picture suffered from, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Wording:
    """Words for one task.

    participle: what became of the picture. before: what it was like. harm: what the network tells detail from. about:
    sentences on what was given to the network, `error` standing for its level on the scale 0 to 255.
    """

    participle: str
    before: str
    harm: str
    about: str


WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "denoise": Wording(
            "denoised",
            "noisy",
            "noise",
            "The noise has a standard deviation of {error:.3g} on the scale 0 to 255.",
        ),
        "demosaic": Wording(
            "demosaiced",
            "interpolated",
            "errors of interpolation",
            "Of the three colours of a pixel one was observed; here the others are interpolated first, and count less "
            "in the steps that follow. Last of all, and not to be seen here, what was observed is put back.",
        ),
        "deblock": Wording(
            "deblocked",
            "compressed",
            "errors of compression",
            "Compression has left errors of about {error:.2g} on the scale 0 to 255. What you see is luma, the "
            "lightness of the picture; the planes of its colours go through the same network.",
        ),
    }
)
