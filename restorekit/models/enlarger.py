"""A convolutional network that enlarges: all its features have the size of the small image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from restorekit.errors import ModelMismatchError
from restorekit.models import convolution as layers
from restorekit.models.base import Count, Reconstructor
from restorekit.physics.base import Measurement
from restorekit.physics.decimation import SCALES, BlurDecimation, bicubic_error
from restorekit.settings import Settings

HEAD_SIDE = 5
TAIL_GAIN = 0.2
"""Makes the last convolution, which begins at zero, learn more slowly than the others."""
LEAST_WEIGHT = 1e-4
"""Weight of the estimate in the data step without noise: keeps the division finite, invisibly in eight bits."""


@dataclass(frozen=True)
class EnlargerSettings(Settings):
    """What fixes the shapes of an `Enlarger`. channels: 1 grey, 3 RGB. width: features. blocks: residual blocks."""

    channels: Count
    width: Count
    blocks: Count


class Enlarger(Reconstructor):
    """One step of half-quadratic splitting: z = x_0 + P_s T_s f(y, sigma), then

        x = argmin_x  1/2 ||A x - y||^2 / sigma^2 + 1/2 ||x - z||^2 / e_s^2

    with x_0 the first guess, bicubic interpolation, f residual blocks on the small image y, T_s one more convolution
    for each scale s, whose s^2 features a pixel P_s arranges as s x s pixels, and e_s, learned, the error of z.

    Where the pixels of y lie among those of x differs from scale to scale; T_s knows it, while a denoiser has to guess
    it from patches. It is also s^2 times less work.
    Source: the layout is that of Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network, 2016; the data step that of N. Zhao et al., see `BlurDecimation.prox_l2`.

    view: how many pixels of the small image away a feature may depend on.
    """

    patch_size = 1
    repeated_part = "blocks"

    def __init__(self, settings: EnlargerSettings) -> None:
        super().__init__()
        self.settings, self.channels = settings, settings.channels
        self.view = HEAD_SIDE // 2 + 2 * settings.blocks + 1
        self.head = layers.DifferenceHead(settings.channels, settings.width, HEAD_SIDE, stride=1)
        self.blocks = layers.residual_blocks(settings.width, settings.blocks)
        self.tails = nn.ModuleList(layers.convolution(settings.width, settings.channels * scale**2) for scale in SCALES)
        self.log_error = nn.Parameter(torch.tensor([bicubic_error(scale) for scale in SCALES]).log())
        layers.initialise_residual_network(self)
        for weight in self.tails.parameters():
            nn.init.zeros_(weight)

    @override
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        return isinstance(source, Enlarger) and layers.load_shallower_weights(self, source.state_dict())

    @override
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the images; there is no grid of patches, so `stride` and `tile_size` have no effect.

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
