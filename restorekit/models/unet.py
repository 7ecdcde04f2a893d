"""A small U-Net that is told the noise level and restores whole tiles rather than patches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.errors import ModelMismatchError
from restorekit.models.base import PatchNetwork, Reconstructor, View, Window
from restorekit.models.convolution import (
    DifferenceHead,
    convolution,
    initialise_residual_network,
    load_shallower_weights,
    residual_blocks,
)
from restorekit.models.settings import SettingsReader
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, TRANSPOSED
from restorekit.numerics.patches import GridBlock, accumulate_blocks, regular_length

SHUFFLE = 2
"""Features are half as high and wide as the image, which is a quarter of the work."""
HEAD_SIDE = 6
RGB = 3
FAR = 96
"""Pixels further away than that no longer tell. With no more around them, pixels estimated with four blocks at each
size differed from those of a larger image by at most 0.003 of 255 for noise and mosaics, and by 0.02 for a JPEG of
quality 10."""
EDGE_SEEN, EDGE_KEPT = 5, 2
"""Cells across the strip that is looked at along an edge where cells of the image end before it does, and those of them
that are kept. Wider strips gave 0.001 dB more, narrower ones as much less."""


@dataclass(frozen=True)
class UNetSettings:
    """What fixes the shapes of a `UNet`.

    channels: 1 grey, 3 RGB. widths: features at 1/2, 1/4, ... of the image's size. blocks: residual blocks at each
    size, on the way down and on the way up. mosaic: whether images are interpolated Bayer mosaics.
    """

    channels: int
    widths: tuple[int, ...]
    blocks: int
    mosaic: bool = False

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> UNetSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "unet")
        if given.switch("mosaic") and settings["channels"] != RGB:
            raise given.error("mosaic", "false for other channels than 3", True)
        return cls(
            channels=given.count("channels"),
            widths=given.counts("widths"),
            blocks=given.count("blocks"),
            mosaic=given.switch("mosaic"),
        )


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

    One for mosaics sees an image flipped so that its pattern is RGGB, of which every Bayer pattern is a mirror image.
    Features being two pixels apart, what a filter meets of the mosaic then is the same everywhere.

    Its patches are cells: squares as large as a pixel of its smallest features, side by side. Each is estimated once,
    whatever the stride that is asked for.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, blocks = settings.widths, settings.blocks
        pixels = settings.channels * SHUFFLE**2
        self.head = DifferenceHead(settings.channels, widths[0], HEAD_SIDE, SHUFFLE)
        self.encoders = nn.ModuleList(residual_blocks(width, blocks) for width in widths[:-1])
        self.downward = nn.ModuleList(nn.Conv2d(wide, deep, 2, stride=2, bias=False) for wide, deep in pairwise(widths))
        self.middle = residual_blocks(widths[-1], blocks)
        self.upward = nn.ModuleList(
            nn.ConvTranspose2d(deep, wide, 2, stride=2, bias=False) for wide, deep in pairwise(widths)
        )
        self.decoders = nn.ModuleList(residual_blocks(width, blocks) for width in widths[:-1])
        self.tail = convolution(widths[0], pixels)
        initialise_residual_network(self)
        nn.init.zeros_(self.tail.weight)

    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of another U-Net of as many blocks or fewer; False if they do not fit.

        One for grey images begins from one for RGB as what that does with a grey image, given three times over.
        """
        if not isinstance(source, UNet) or source.settings.mosaic > self.settings.mosaic:
            return False
        numbers = source.state_dict()
        if self.channels == 1 < source.channels:
            numbers["head.filters"] = source.head.filters.sum(1, keepdim=True)
            # F.pixel_shuffle takes the outputs of a colour one after the other.
            tail = source.tail.weight
            numbers["tail.weight"] = tail.reshape(source.channels, -1, *tail.shape[1:]).mean(0)
        return load_shallower_weights(self, numbers)

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
        """The field of view, but for what is further away than `FAR`; whole cells."""
        # Each 3x3 convolution looks one pixel of its features further, and each pixel may lie at the edge of its cell.
        coarsest = self.patch_size // SHUFFLE
        convolutions = 2 + 2 * self.settings.blocks * (2 * (coarsest - 1) + coarsest)
        view = SHUFFLE * convolutions + self.patch_size - 1
        return regular_length(min(view, FAR), self.patch_size, self.patch_size)

    @property
    def bytes_per_patch(self) -> int:
        """Working memory that a cell of a tile costs: some six maps of the widest features there are."""
        widest = max(width / (4.0**size) for size, width in enumerate(self.settings.widths))
        per_pixel = 4 * (6 * widest / SHUFFLE**2 + 6 * self.channels)
        return math.ceil(per_pixel * self.patch_size**2)

    def grid_stride(self, stride: int) -> int:
        """Cells lie side by side."""
        return self.patch_size

    def blocks(self, height: int, width: int, stride: int, tile_size: int) -> list[GridBlock]:
        """Those of the cells that begin with the image."""
        cell = self.patch_size
        return super().blocks(height - height % cell, width - width % cell, stride, tile_size)

    @property
    def views(self) -> tuple[View, ...]:
        """All turns and mirror images.

        Those of a mosaic it would flip back until they begin with red: so it sees the mosaic and its transpose, with
        cells that begin at red, at the greens beside and below it, and at blue. With turns alone, of which two differ
        then, the mean over five pictures gained 0.13 dB, with these 0.24 dB.
        """
        if not self.settings.mosaic:
            return tuple(View(turn) for turn in range(DIHEDRAL_VIEWS))
        return tuple(View(*view) for view in product((0, TRANSPOSED), (0, 1), (0, 1)))

    def windows(self, length: int, first: int = 0) -> list[Window]:
        """Whole cells, and where they leave out pixels at an end of the image a strip of cells that has them.

        Continued by its mirror image, an image of 481x321 pixels lost up to 0.04 dB: noise that is there twice looks
        like a detail, and edges are what training has shown. A side shorter than a strip is continued all the same.
        """
        cell = self.patch_size
        seen, kept = EDGE_SEEN * cell, EDGE_KEPT * cell
        if length < seen:
            whole = slice(0, regular_length(length, cell, cell))
            return [Window(whole, whole)]
        whole = slice(first, length - (length - first) % cell)
        windows = [Window(whole, whole)]
        if first > 0:
            windows.append(Window(slice(0, seen), slice(0, kept)))
        if whole.stop < length:
            windows.append(Window(slice(length - seen, length), slice(length - kept, length)))
        return windows

    def forward(
        self,
        observed: Tensor,
        level: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Restore the cells of `observed`; see `PatchNetwork.forward`.

        Pixels beyond the last whole cell stay uncovered; `windows` says how to have them.

        Raises ModelMismatchError for a mask, unless it is made for mosaics; a mask then has to be there.
        """
        if mask is not None and not self.settings.mosaic:
            raise ModelMismatchError("this U-Net needs every pixel and takes no mask; use a model made for masks")
        if mask is None and self.settings.mosaic:
            raise ModelMismatchError("this U-Net is for mosaics, and needs the mask that tells their pattern")
        cell = self.patch_size
        height, width = observed.shape[-2:]
        if tile_size is None:
            inner = observed[..., : height - height % cell, : width - width % cell]
            border = (0, width % cell, 0, height % cell)
            return F.pad(self._estimate(inner, level, mask), border), F.pad(torch.ones_like(inner[0, 0]), border)
        whole = height - height % cell, width - width % cell

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(self.halo // cell, *whole, cell)
            rows, cols = outer.window(cell)
            estimate = self._estimate(observed[..., rows, cols], level, mask)
            rows, cols = block.window(cell)
            sums = estimate[
                ...,
                rows.start - outer.top : rows.stop - outer.top,
                cols.start - outer.left : cols.stop - outer.left,
            ]
            return sums, torch.ones_like(sums[0, 0])

        return accumulate_blocks(restore, self.blocks(height, width, stride, tile_size), cell, like=observed)

    def _estimate(self, observed: Tensor, level: Tensor, mask: Tensor | None) -> Tensor:
        """The whole of images [B, C, H, W] whose sides are multiples of a cell's.

        The mask is that of a larger image, whose pattern is the same at the first pixel of each cell.
        """
        if mask is not None:
            observed = _flipped_to_rggb(observed, mask)
        features = self.head(observed, level)
        kept = []
        for encode, shrink in zip(self.encoders, self.downward, strict=True):
            features = encode(features)
            kept.append(features)
            features = shrink(features)
        features = self.middle(features)
        for grow, decode in zip(reversed(self.upward), reversed(self.decoders), strict=True):
            features = decode(grow(features) + kept.pop())
        estimate = observed - F.pixel_shuffle(self.tail(features), SHUFFLE)
        return estimate if mask is None else _flipped_to_rggb(estimate, mask)


def _flipped_to_rggb(images: Tensor, mask: Tensor) -> Tensor:
    """Images of even sides flipped so that what the mask, [B or 1, 3, H, W], says of red begins at the top left.

    Done twice, it changes nothing.
    """
    red = mask[:, 0, :2, :2, None, None, None] > 0
    below, right = red[:, 1].any(1), red[:, :, 1].any(1)
    images = torch.where(below, images.flip(-2), images)
    return torch.where(right, images.flip(-1), images)
