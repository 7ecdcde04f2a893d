"""Removing what JPEG compression did to pictures: blocks, ringing and washed-out colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restorekit.errors import UsageError
from restorekit.image import JpegCoding, Picture
from restorekit.image.picture import turn, turn_back
from restorekit.inference.runner import RunReport, RunSettings, resolve_device, restore_array
from restorekit.physics.jpeg import (
    Plane,
    enlarge_guided,
    error_level,
    quality_of,
    rgb_to_ycbcr,
    scale_of,
    stored_samples,
    ycbcr_to_rgb,
)
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.case import RestorationTrace
from restorekit.zoo import LoadedModel
from restorekit.zoo.selection import ModelSelection

TASK = "deblock"

_CHROMA_ERROR = 0.44
"""Of the level of chroma, what is left of its error when it is restored; 0.3 and 0.6 do as well."""


class Deblock:
    """An operation for `run_batch`: luma is restored, then each of Cb and Cr at the resolution it was stored in.

    Args:
        quality_factor: of the compression, 1 to 100, or None to take it from the quantisation tables of each file.
        models: what to restore with.
        settings: device, tile size, quality.

    Raises:
        UsageError: no such device, or no such quality factor.
        ModelNotFoundError: the default model is not installed.

    """

    def __init__(self, quality_factor: int | None, models: ModelSelection, settings: RunSettings) -> None:
        resolve_device(settings.device)
        if quality_factor is not None:
            scale_of(quality_factor)
        self._quality_factor = quality_factor
        self._model = models.fitting(1)
        self._settings = settings

    def __call__(self, picture: Picture) -> Restored:
        """The picture restored, in the same depth. Raises UsageError where nothing tells the quality factor."""
        return self.examined(picture)[0]

    def examined(self, picture: Picture) -> tuple[Restored, RestorationTrace]:
        """As `__call__`, and what the network had to do with luma."""
        coding = picture.metadata.jpeg
        quality, chroma_quality = self._qualities_of(coding)
        taken, share, notes = _within_range(quality, self._model)
        level = error_level(taken)
        planes = [picture.to_float()] if picture.is_grey else list(np.moveaxis(rgb_to_ycbcr(picture.to_float()), 2, 0))
        compressed = planes[0]
        planes[0], report = self._run(compressed, level, share)
        reports = [report]
        # Where it is not known, colour at full resolution must not be lost.
        subsampling = (1, 1) if coding is None else coding.subsampling
        taken, share, _ = _within_range(chroma_quality, self._model)
        chroma_level = error_level(taken, chroma=True)
        # Where pixels share a sample is a matter of rows and columns as the file has them.
        orientation = picture.metadata.orientation
        guide = turn_back(planes[0], orientation)
        for index in range(1, len(planes)):
            samples = stored_samples(turn_back(planes[index], orientation), subsampling)
            samples, report = self._run(samples, chroma_level, share)
            enlarged = enlarge_guided(samples, guide, subsampling, _CHROMA_ERROR * chroma_level)
            planes[index] = turn(enlarged, orientation)
            reports.append(report)
        restored = Restored(
            picture.with_float(planes[0] if picture.is_grey else ycbcr_to_rgb(np.dstack(planes))),
            model=self._model.card.name,
            parameters=(("quality_factor", quality),),
            device=report.device,
            tiles=sum(report.tiles for report in reports),
            seconds=sum(report.seconds for report in reports),
            notes=scale_notes(picture) + notes,
        )
        stride = self._settings.quality.stride
        return restored, RestorationTrace(self._model, level, stride, compressed, planes[0], truth_of=_luma_of)

    def _qualities_of(self, coding: JpegCoding | None) -> tuple[int, int]:
        """Of luma and of chroma, which encoders may choose apart."""
        if self._quality_factor is not None:
            return self._quality_factor, self._quality_factor
        if coding is None:
            raise UsageError(
                "not a JPEG file, so its quality factor is unknown; name that of its compression with --quality-factor"
            )
        luma = quality_of(coding.luma)
        return luma, quality_of(coding.chroma, chroma=True) if coding.chroma else luma

    def _run(self, plane: Plane, level: float, share: float) -> tuple[Plane, RunReport]:
        restored, report = restore_array(plane, level, self._model.patch_network, self._settings)
        return plane + np.float32(share) * (restored - plane), report


@dataclass(frozen=True)
class DeblockArray:
    """A method to be measured at JPEG compression: the model at one quality, on luma."""

    models: ModelSelection
    settings: RunSettings

    @property
    def name(self) -> str:
        """Such as `deblock-gray-groupsc (best)`."""
        return self.models.name_at(self.settings.quality)

    def __call__(self, compressed: Plane, quality_factor: int) -> Plane:
        """Luma [H, W] and the quality factor of its compression -> the estimate in [0, 1]."""
        model = self.models.fitting(1)
        if not model.card.covers(quality_factor):
            low, high = model.card.level_range
            raise UsageError(
                f"quality factor {quality_factor} is none that {model.card.name} was made for; use {low:g} to {high:g}"
            )
        return restore_array(compressed, error_level(quality_factor), model.patch_network, self.settings)[0]


def _luma_of(picture: Picture) -> Plane:
    pixels = picture.to_float()
    return pixels if picture.is_grey else rgb_to_ycbcr(pixels)[..., 0]


def _within_range(quality: int, model: LoadedModel) -> tuple[float, float, tuple[str, ...]]:
    """The quality factor, clipped to the model's range, the share of the change to make, and what to say about it.

    A finer quality than the model was made for has less of an error than the network looks for. Of the change it finds,
    (error_level(quality) / error_level(taken))^4 is made; with the square, photographs at 98 lost 0.1 dB.
    """
    low, high = model.card.level_range
    taken = min(max(quality, low), high)
    if taken == quality:
        return taken, 1.0, ()
    found = f"quality {quality} taken as {taken:g}, the nearest that {model.card.name} was made for"
    if quality < taken:
        return taken, 1.0, (found,)
    share = (error_level(quality) / error_level(taken)) ** 4
    return taken, share, (f"{found}, and {100 * share:.0f} % of the change made",)
