"""A convolutional network that enlarges: all its features have the size of the small image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.errors import ModelMismatchError
from restorekit.models.base import Reconstructor
from restorekit.models.convolution import (
    DifferenceHead,
    convolution,
    initialise_residual_network,
    load_shallower_weights,
    residual_blocks,
)
from restorekit.models.settings import SettingsReader
from restorekit.physics.base import Measurement
from restorekit.physics.decimation import SCALES, BlurDecimation, bicubic_error

HEAD_SIDE = 5
TAIL_GAIN = 0.2
"""Makes the last convolution, which begins at zero, learn more slowly than the others."""
LEAST_WEIGHT = 1e-4
"""Of the estimate in the data step: keeps the division finite without noise, and costs nothing that eight bits show."""


@dataclass(frozen=True)
class EnlargerSettings:
    """What fixes the shapes of an `Enlarger`. channels: 1 grey, 3 RGB. width: features. blocks: residual blocks."""

    channels: int
    width: int
    blocks: int

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> EnlargerSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "enlarger")
        return cls(channels=given.count("channels"), width=given.count("width"), blocks=given.count("blocks"))


class Enlarger(Reconstructor):
    """One step of half-quadratic splitting: z = x_0 + P_s T_s f(y, sigma), then

        x = argmin_x  1/2 ||A x - y||^2 / sigma^2 + 1/2 ||x - z||^2 / e_s^2

    with x_0 the first guess, bicubic interpolation, f residual blocks on the small image y, T_s one more convolution
    for each scale s, whose s^2 features a pixel P_s lays out as s x s pixels, and e_s, learned, how far z is off.

    Where the pixels of y lie among those of x differs from scale to scale, and T_s knows it, while a denoiser of
    patches, wherever they lie, has to guess. It is also s^2 times less work.
    Source: the layout is that of Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Reconstructor, 2016; the data step that of N. Zhao et al., see `BlurDecimation.prox_l2`.
    """

    def __init__(self, settings: EnlargerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.head = DifferenceHead(settings.channels, settings.width, HEAD_SIDE, stride=1)
        self.blocks = residual_blocks(settings.width, settings.blocks)
        self.tails = nn.ModuleList(convolution(settings.width, settings.channels * scale**2) for scale in SCALES)
        self.log_error = nn.Parameter(torch.tensor([bicubic_error(scale) for scale in SCALES]).log())
        initialise_residual_network(self)
        for weight in self.tails.parameters():
            nn.init.zeros_(weight)

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.settings.channels

    @property
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""
        return 1

    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of another enlarger of as many blocks or fewer; see `load_shallower_weights`."""
        return isinstance(source, Enlarger) and load_shallower_weights(self, source.state_dict())

    @property
    def view(self) -> int:
        """How many pixels of the small image away a feature may depend on."""
        return HEAD_SIDE // 2 + 2 * len(self.blocks) + 1

    @property
    def repeated(self) -> nn.Module:
        """The residual blocks."""
        return self.blocks

    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """The images; see `Reconstructor.forward`. There is no grid of patches, so `stride` changes nothing.

        Raises:
            ModelMismatchError: the measurement is no decimation by one of the scales.
        """
        physics = measurement.physics
        if not isinstance(physics, BlurDecimation) or physics.scale not in SCALES:
            raise ModelMismatchError(f"an enlarger takes images made smaller by {', '.join(map(str, SCALES))}")
        place = SCALES.index(physics.scale)
        features = self.blocks(self.head(measurement.y, measurement.sigma))
        z = measurement.x0 + TAIL_GAIN * F.pixel_shuffle(self.tails[place](features), physics.scale)
        ratio = (measurement.sigma / self.log_error[place].exp()).square() + LEAST_WEIGHT
        return physics.prox_l2(z, measurement.y, ratio.reshape(-1, 1, 1, 1))
