"""A small U-Net that is told the noise level, for denoising whole tiles rather than patches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.errors import ModelMismatchError
from restorekit.models.base import PatchNetwork
from restorekit.models.settings import SettingsReader
from restorekit.tiling import GridBlock, accumulate_blocks, regular_length

SHUFFLE = 2
"""Features are half as high and wide as the image, which is a quarter of the work."""


@dataclass(frozen=True)
class UNetSettings:
    """What fixes the shapes of a `UNet`.

    channels: 1 grey, 3 RGB. widths: features at 1/2, 1/4, ... of the image's size. blocks: residual blocks at each
    size, on the way down and on the way up.
    """

    channels: int
    widths: tuple[int, ...]
    blocks: int

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> UNetSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "unet")
        widths = settings["widths"]
        if not isinstance(widths, (list, tuple)) or not widths or not all(type(w) is int and w > 0 for w in widths):
            raise given.error("widths", "a list of positive integers", widths)
        return cls(channels=given.count("channels"), widths=tuple(widths), blocks=given.count("blocks"))


class UNet(PatchNetwork):
    """x = y - f(y, sigma) with a convolutional f that has no biases: f(a y, a sigma) = a f(y, sigma) for a > 0.

    The noise level is given as one more map beside the image, as in K. Zhang et al., Plug-and-Play Image Restoration
    with Deep Denoiser Prior, 2021, section 3, whose network has residual blocks between strided and transposed
    convolutions, too, but begins at full size and has thirty times the parameters. That what is learned at one level
    holds at others where there are no biases is due to Mohan et al., Robust and Interpretable Blind Image Denoising via
    Bias-Free Convolutional Neural Networks, 2020.

    How bright a region is says nothing of its noise: the first filters see differences alone, so that f(y + c) = f(y).
    Brightness, the largest part of an image by far, then does not stand in the way of training: after 320 steps that
    was worth 1.3 dB.

    Its patches are cells: squares as large as a pixel of its smallest features, side by side. Each is estimated once,
    whatever the stride that is asked for.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, blocks = settings.widths, settings.blocks
        pixels = settings.channels * SHUFFLE**2
        self.head = _Head(settings.channels, widths[0])
        self.encoders = nn.ModuleList(_residual_blocks(width, blocks) for width in widths[:-1])
        self.downward = nn.ModuleList(nn.Conv2d(wide, deep, 2, stride=2, bias=False) for wide, deep in pairwise(widths))
        self.middle = _residual_blocks(widths[-1], blocks)
        self.upward = nn.ModuleList(
            nn.ConvTranspose2d(deep, wide, 2, stride=2, bias=False) for wide, deep in pairwise(widths)
        )
        self.decoders = nn.ModuleList(_residual_blocks(width, blocks) for width in widths[:-1])
        self.tail = _convolution(widths[0], pixels)
        self._initialise()

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.settings.channels

    @property
    def patch_size(self) -> int:
        """The side of a cell, in pixels."""
        return SHUFFLE << len(self.settings.widths) - 1

    @property
    def halo(self) -> int:
        """The whole field of view, so that tiles agree with the image in one piece; a multiple of the cells' side."""
        # Each 3x3 convolution looks one pixel of its features further, and each pixel may lie at the edge of its cell.
        coarsest = self.patch_size // SHUFFLE
        convolutions = 2 + 2 * self.settings.blocks * (2 * (coarsest - 1) + coarsest)
        view = SHUFFLE * convolutions + self.patch_size - 1
        return regular_length(view, self.patch_size, self.patch_size)

    @property
    def bytes_per_patch(self) -> int:
        """Working memory that a cell of a tile costs: some six maps of the widest features there are."""
        widest = max(width / (4.0**size) for size, width in enumerate(self.settings.widths))
        per_pixel = 4 * (6 * widest / SHUFFLE**2 + 6 * self.channels)
        return math.ceil(per_pixel * self.patch_size**2)

    def grid_stride(self, stride: int) -> int:
        """Cells lie side by side."""
        return self.patch_size

    def forward(
        self,
        observed: Tensor,
        level: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Restore the cells of `observed`; see `PatchNetwork.forward`. Raises ModelMismatchError for a mask."""
        if mask is not None:
            raise ModelMismatchError("a U-Net needs every pixel and takes no mask; use a model made for masks")
        cell = self.patch_size
        height, width = observed.shape[-2:]
        if tile_size is None:
            inner = observed[..., : height - height % cell, : width - width % cell]
            border = (0, width % cell, 0, height % cell)
            return F.pad(self._estimate(inner, level), border), F.pad(torch.ones_like(inner[0, 0]), border)
        whole = regular_length(height, cell, cell), regular_length(width, cell, cell)

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(self.halo // cell, *whole, cell)
            rows, cols = outer.window(cell)
            beyond = (0, max(0, cols.stop - width), 0, max(0, rows.stop - height))
            estimate = self._estimate(F.pad(observed[..., rows, cols], beyond, mode="reflect"), level)
            rows, cols = block.window(cell)
            rows, cols = (
                slice(rows.start - outer.top, min(rows.stop, height) - outer.top),
                slice(cols.start - outer.left, min(cols.stop, width) - outer.left),
            )
            sums = estimate[..., rows, cols]
            return sums, torch.ones_like(sums[0, 0])

        return accumulate_blocks(restore, self.blocks(height, width, stride, tile_size), cell, like=observed)

    def _estimate(self, observed: Tensor, level: Tensor) -> Tensor:
        """The whole of images [B, C, H, W] whose sides are multiples of a cell's."""
        features = self.head(observed, level)
        kept = []
        for encode, shrink in zip(self.encoders, self.downward, strict=True):
            features = encode(features)
            kept.append(features)
            features = shrink(features)
        features = self.middle(features)
        for grow, decode in zip(reversed(self.upward), reversed(self.decoders), strict=True):
            features = decode(grow(features) + kept.pop())
        return observed - F.pixel_shuffle(self.tail(features), SHUFFLE)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Features that keep their size from layer to layer, at random, and f = 0."""
        for name, weight in self.named_parameters():
            # Every output of a transposed convolution of side and stride 2 is made from one input pixel.
            inputs = weight.shape[0] if name.startswith("upward") else weight[0].numel()
            weight.normal_(0, inputs**-0.5)
        for block in self.modules():
            if isinstance(block, _ResidualBlock):
                block.first.weight.mul_(math.sqrt(2))
                block.second.weight.mul_(0.3)
        self.tail.weight.zero_()


class _Head(nn.Module):
    """Differences of pixels and the noise level, at half the size: each filter sums to zero over every colour."""

    SIDE = 6

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.zeros(width, channels, self.SIDE, self.SIDE))
        self.level_weights = nn.Parameter(torch.zeros(width))

    def forward(self, images: Tensor, level: Tensor) -> Tensor:
        """Images [B, C, H, W] and their levels [B] -> features [B, F, H / 2, W / 2]."""
        margin = (self.SIDE - SHUFFLE) // 2
        rows, cols = (
            torch.arange(-margin, side + margin, device=images.device).clamp(0, side - 1) for side in images.shape[-2:]
        )
        # Zeros around the image would be differences where it is bright. In memory colours lie side by side, and so do
        # the features that follow, which is faster on a CPU.
        padded = images[..., rows, :][..., cols].contiguous(memory_format=torch.channels_last)
        differences = F.conv2d(padded, self.filters - self.filters.mean((2, 3), keepdim=True), stride=SHUFFLE)
        # A map of one value, filtered, is a map of one value.
        return differences + (level[:, None] * self.level_weights)[:, :, None, None]


class _ResidualBlock(nn.Module):
    """h + B relu(A h), with 3x3 convolutions A and B."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = _convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, F, H, W] -> features alike."""
        change: Tensor = self.second(F.relu(self.first(features)))
        return features + change


def _residual_blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_ResidualBlock(width) for _ in range(count)))


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
