"""The model card: what a weights file says about itself, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval
from pydantic import Field, TypeAdapter

from restorekit.errors import WeightsError
from restorekit.settings import Settings, read_settings
from restorekit.types import CHANNELS

FORMAT_VERSION = 2

_Count = Annotated[int, Interval(ge=0, lt=10**12)]
_Number = Annotated[float, Interval(ge=-1e12, le=1e12)]  # which refuses NaN, too


@dataclass(frozen=True)
class CardFigure(Settings):
    """The mean quality of a model over a data set at one conditioning.

    dataset: its name, such as "BSD68". conditioning: as in `ModelCard.conditioning_range`. quality: the `--quality`
    used. psnr: in dB. ssim: in [-1, 1], or None if it was not measured.
    """

    dataset: str
    conditioning: Annotated[_Number, Field(alias="level")]  # its name in the file
    quality: str
    psnr: _Number
    ssim: _Number | None = None


@dataclass(frozen=True)
class ModelCard(Settings):
    """Everything needed to build a model again, and to judge it.

    name: what users call it, and the file's name without the suffix. architecture, settings: what `models.build` takes.
    task: what it was trained for, such as "denoise". channels: 1 grey, 2 complex, 3 RGB. conditioning_range: the least
    and the greatest conditioning it was trained for: sigma on the scale 0..255 for denoise and deblur, the JPEG
    quality factor for deblock, the scale for superres, the sampling rate in percent for cs-mri, 0 and 0 for demosaic.
    parameters: how many numbers were learned. description: one sentence for people. recipe, recipe_sha256: the training
    recipe's name and the hash of its text. training_data: where the images came from. steps: the training step whose
    weights these are. package_version: of the restorekit that wrote the file. licence: an SPDX identifier. measured:
    results on test sets.
    """

    name: str
    architecture: str
    settings: Mapping[str, object]
    task: str
    channels: Annotated[int, Interval(ge=min(CHANNELS), le=max(CHANNELS))]
    conditioning_range: Annotated[tuple[_Number, _Number], Field(alias="level_range")]  # its name in the file
    parameters: _Count
    description: str
    recipe: str
    recipe_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    training_data: str
    steps: _Count
    package_version: str
    licence: str
    measured: tuple[CardFigure, ...] = ()

    def __post_init__(self) -> None:
        low, high = self.conditioning_range
        if not 0 <= low <= high:
            raise ValueError(f"level_range: {low:g} to {high:g} must be two numbers, 0 <= least <= greatest")

    def covers(self, conditioning: float) -> bool:
        """Return whether the model was trained for a conditioning, up to rounding errors of a change of units."""
        low, high = self.conditioning_range
        return low <= round(conditioning, 6) <= high

    @property
    def range_text(self) -> str:
        """The conditioning range, such as "2 to 4", or its only value."""
        low, high = self.conditioning_range
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"

    def to_json(self) -> str:
        """Return the card as a JSON object: its fields, and `format`, the version of this layout."""
        document = TypeAdapter(ModelCard).dump_python(self, by_alias=True, warnings=False)
        return json.dumps({"format": FORMAT_VERSION, **document}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Return the card that `to_json` wrote. Raise WeightsError for any other text, by the name of the wrong key."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the model card is not valid JSON ({error})") from error
        if not isinstance(document, dict):
            raise WeightsError(f"the model card must be a JSON object, not a {type(document).__name__}")
        if (version := document.pop("format", None)) != FORMAT_VERSION:
            reads = f"this version of restorekit reads {FORMAT_VERSION}; upgrade it or export the model again"
            raise WeightsError(f"the model card has format {version!a:.60}, {reads}")
        # A card in a file always says what was measured, even if that is nothing.
        return read_settings(cls, {"measured": None, **document}, "the model card", WeightsError)
