"""Demosaicking pictures: mosaics in ordinary files, and the RAW files of cameras, which are developed as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.image import Camera, Picture
from restorekit.image.picture import turn, turn_back, turn_upright
from restorekit.inference.runner import RunReport, RunSettings, resolve_device, restore_array
from restorekit.models import PatchNetwork
from restorekit.physics.camera import balance_white, camera_to_srgb, decode_srgb, encode_srgb
from restorekit.physics.mosaic import INTERPOLATION_ERROR, bayer_mask, interpolate, mirror, reconcile
from restorekit.restore.batch import Restored, scale_notes
from restorekit.restore.case import RestorationTrace
from restorekit.types import BayerPattern
from restorekit.zoo.selection import ModelSelection

TASK = "demosaic"


class Demosaic:
    """An operation for `run_batch`: a one-channel mosaic becomes an RGB picture of the same depth.

    A camera's RAW file becomes one in sRGB: its mosaic is white-balanced before, and its colours converted after.

    Args:
        pattern: of the mosaics; None takes it from each file, which only RAW files tell.
        models: what to restore with.
        settings: device, tile size, quality.

    Raises:
        UsageError: no such device.
        ModelNotFoundError: the default model is not installed.

    """

    def __init__(self, pattern: BayerPattern | None, models: ModelSelection, settings: RunSettings) -> None:
        resolve_device(settings.device)
        self._pattern = pattern
        self._model = models.fitting(3)
        self._settings = settings

    def __call__(self, picture: Picture) -> Restored:
        """The picture in colour.

        Raises:
            UnsupportedImageError: a picture that is no mosaic.
            UsageError: its pattern is not known, or not the one that the file has.
        """
        observed, pattern = self._mosaic_of(picture)
        rgb, report = demosaic_array(observed, pattern, self._model.patch_network, self._settings)
        return self._finished(picture, pattern, rgb, report)

    def examined(self, picture: Picture) -> tuple[Restored, RestorationTrace]:
        """As `__call__`, and what the network had to do; of a RAW file, in the colours of its camera."""
        observed, pattern = self._mosaic_of(picture)
        rgb, report = demosaic_array(observed, pattern, self._model.patch_network, self._settings)
        filled, mask = _filled(observed, pattern)
        truth_of = _no_truth if picture.metadata.camera else _as_in_file(picture.metadata.orientation)
        stride = self._settings.quality.stride
        case = RestorationTrace(self._model, INTERPOLATION_ERROR, stride, filled, rgb, truth_of, mask)
        return self._finished(picture, pattern, rgb, report), case

    def _mosaic_of(self, picture: Picture) -> tuple[NDArray[np.float32], BayerPattern]:
        """The mosaic as the network knows mosaics: on the sRGB curve, neutral surfaces in equal values.

        A pattern is that of the pixels as the file has them, whichever way the picture is to be seen.
        """
        _check_mosaic(picture)
        camera = picture.metadata.camera
        pattern = self._pattern_of(camera)
        observed = turn_back(picture.to_float(), picture.metadata.orientation)
        if camera is not None:
            observed = encode_srgb(balance_white(observed, camera.white_balance, pattern))
        return observed, pattern

    def _finished(
        self, picture: Picture, pattern: BayerPattern, rgb: NDArray[np.float32], report: RunReport
    ) -> Restored:
        camera, notes = picture.metadata.camera, scale_notes(picture)
        if picture.metadata.jpeg is not None:
            notes += ("the mosaic was compressed as JPEG, which mixes its colours",)
        if camera is not None:
            rgb = encode_srgb(camera_to_srgb(decode_srgb(rgb), camera.to_srgb))
        else:
            rgb = turn(rgb, picture.metadata.orientation)
        metadata = replace(picture.metadata, icc=b"", camera=None)
        if picture.metadata.icc:
            notes += ("ICC profile of a grey picture left out of a colour one",)
        colour = Picture(np.empty(rgb.shape, picture.pixels.dtype), metadata).with_float(rgb)
        if camera is not None:
            colour = turn_upright(colour, camera.orientation, metadata.exif)
        return Restored(
            colour,
            model=self._model.card.name,
            parameters=(("pattern", pattern.value),),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=notes,
        )

    def _pattern_of(self, camera: Camera | None) -> BayerPattern:
        if camera is None:
            if self._pattern is None:
                raise UsageError("not a camera's RAW file, so its pattern is unknown; name it with --pattern")
            return self._pattern
        found = BayerPattern(camera.pattern)
        if self._pattern not in (None, found):
            raise UsageError(f"the file's pattern is {found}, not {self._pattern}; leave out --pattern for RAW files")
        return found


@dataclass(frozen=True)
class DemosaicArray:
    """A method to be measured at `BayerMosaic`: the model at one quality, under a name that tells both."""

    models: ModelSelection
    settings: RunSettings

    @property
    def name(self) -> str:
        """Such as `demosaic-color-unet (best)`."""
        return self.models.name_at(self.settings.quality)

    def __call__(self, observed: NDArray[np.float32], pattern: BayerPattern) -> NDArray[np.float32]:
        """A mosaic [H, W] in [0, 1] and its pattern -> the RGB estimate [H, W, 3] in [0, 1]."""
        return demosaic_array(observed, pattern, self.models.fitting(3).patch_network, self.settings)[0]


def demosaic_array(
    observed: NDArray[np.float32], pattern: BayerPattern, network: PatchNetwork, settings: RunSettings
) -> tuple[NDArray[np.float32], RunReport]:
    """A mosaic [H, W] of any size, in [0, 1] -> the RGB estimate [H, W, 3] in [0, 1].

    The network is given the linear interpolation, as in training, and the mask that tells what was observed of it; its
    estimate is then made to agree with what was observed. A mosaic that is too small for the network is extended by a
    mirror that keeps its pattern.
    """
    height, width = observed.shape
    rows, columns = (mirror(side, 0, network.continued_length(side)) for side in (height, width))
    mosaic = torch.from_numpy(observed)
    rgb, report = _estimate(mosaic[rows][:, columns].numpy(), pattern, network, settings)
    agreeing = reconcile(torch.from_numpy(rgb[:height, :width]), mosaic, pattern)
    return agreeing.clamp_(0, 1).numpy(), report


def _estimate(
    observed: NDArray[np.float32], pattern: BayerPattern, network: PatchNetwork, settings: RunSettings
) -> tuple[NDArray[np.float32], RunReport]:
    filled, mask = _filled(observed, pattern)
    return restore_array(filled, INTERPOLATION_ERROR, network, settings, mask=mask)


def _filled(observed: NDArray[np.float32], pattern: BayerPattern) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A mosaic [H, W] interpolated linearly, and 1 where a value of it was observed, both [H, W, 3]."""
    filled = interpolate(torch.from_numpy(np.ascontiguousarray(observed))[None, None], pattern)[0].permute(1, 2, 0)
    return filled.numpy(), bayer_mask(observed.shape[0], observed.shape[1], pattern).numpy()


def _as_in_file(orientation: int) -> Callable[[Picture], NDArray[np.float32]]:
    """A reference, which is upright, as the mosaic lay in its file."""
    return lambda reference: turn_back(reference.to_float(), orientation)


def _no_truth(reference: Picture) -> NDArray[np.float32]:
    raise UsageError(
        "a RAW file is explained in the colours of its camera, which no picture has; leave out --reference"
    )


def _check_mosaic(picture: Picture) -> None:
    if not picture.is_grey:
        raise UnsupportedImageError(
            "a colour picture, but a mosaic has one channel; `restorekit degrade mosaic` makes one"
        )
    if picture.alpha is not None:
        raise UnsupportedImageError("a picture with an alpha channel, which a mosaic has not; remove it first")
