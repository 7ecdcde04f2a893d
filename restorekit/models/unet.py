"""A small U-Net that is given sigma and restores whole tiles rather than patches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from restorekit.errors import ModelMismatchError
from restorekit.models import convolution as layers
from restorekit.models.base import Count, PatchNetwork, Reconstructor, View, Widths, Window
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, TRANSPOSED
from restorekit.numerics.patches import GridBlock, accumulate_blocks, regular_length
from restorekit.settings import Settings

SHUFFLE = 2
"""Features are half as high and wide as the image, which is a quarter of the work."""
HEAD_SIDE = 6
RGB = 3
FAR = 96
"""Pixels further away hardly matter. With no more around them, pixels estimated with four blocks at each size differed
from those of a larger image by at most 0.003 of 255 for noise and mosaics, and by 0.02 for a JPEG of quality 10."""
EDGE_SEEN, EDGE_KEPT = 5, 2
"""Cells across the strip that is seen along an edge where whole cells end before the image does, and those of them that
are kept. Wider strips gave 0.001 dB more, narrower ones as much less."""


@dataclass(frozen=True)
class UNetSettings(Settings):
    """What fixes the shapes of a `UNet`.

    channels: 1 grey, 3 RGB. widths: features at 1/2, 1/4, ... of the image's size. blocks: residual blocks at each
    size, on the way down and on the way up. mosaic: whether images are interpolated Bayer mosaics.
    """

    channels: Count
    widths: Widths
    blocks: Count
    mosaic: bool = False

    def __post_init__(self) -> None:
        if self.mosaic and self.channels != RGB:
            raise ValueError(f"mosaic: must be false for {self.channels} channels")


class UNet(PatchNetwork):
    """x = y - f(y, sigma) with a convolutional f that has no biases: f(a y, a sigma) = a f(y, sigma) for a > 0.

    Sigma is given as one more map beside the image, as in K. Zhang et al., Plug-and-Play Image Restoration with Deep
    Denoiser Prior, 2021, section 3, whose network also has residual blocks between strided and transposed convolutions,
    but begins at full size and has thirty times the parameters. That training at one sigma carries over to others
    without biases is due to Mohan et al., Robust and Interpretable Blind Image Denoising via Bias-Free Convolutional
    Neural Networks, 2020.

    The brightness of a region says nothing of its noise: the first filters see differences alone, so that
    f(y + c) = f(y). Brightness, the largest part of an image by far, then does not hinder training: after 320 steps
    that was worth 1.3 dB.

    A network for mosaics sees an image flipped so that its pattern is RGGB, of which every Bayer pattern is a mirror
    image. Features being two pixels apart, a filter then meets the mosaic in the same way everywhere.

    Its patches are cells: squares as large as a pixel of its smallest features, side by side. Each is estimated once,
    for any stride. The halo is the field of view up to `FAR`, in whole cells.

    The views are all eight symmetries. In a mosaic they would be flipped back until they begin with red: so it sees the
    mosaic and its transpose, with cells that begin at red, at the greens beside and below it, and at blue. With
    symmetries alone, of which two differ then, the mean over five pictures gained 0.13 dB, with these 0.24 dB.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings, self.channels = settings, settings.channels
        widths, blocks = settings.widths, settings.blocks
        self.patch_size = SHUFFLE << len(widths) - 1
        # Each 3x3 convolution looks one pixel of its features further, and each pixel may lie at the edge of its cell.
        coarsest = self.patch_size // SHUFFLE
        convolutions = 2 + 2 * blocks * (2 * (coarsest - 1) + coarsest)
        self.halo = regular_length(
            min(SHUFFLE * convolutions + self.patch_size - 1, FAR), self.patch_size, self.patch_size
        )
        # Some six maps of the widest features.
        widest = max(width / (4.0**size) for size, width in enumerate(widths))
        self.bytes_per_patch = math.ceil(4 * (6 * widest / SHUFFLE**2 + 6 * self.channels) * self.patch_size**2)
        self.views = tuple(View(turn) for turn in range(DIHEDRAL_VIEWS))
        if settings.mosaic:
            self.views = tuple(View(*view) for view in product((0, TRANSPOSED), (0, 1), (0, 1)))
        self.head = layers.DifferenceHead(settings.channels, widths[0], HEAD_SIDE, SHUFFLE)
        self.encoders = nn.ModuleList(layers.residual_blocks(width, blocks) for width in widths[:-1])
        self.downward = nn.ModuleList(nn.Conv2d(wide, deep, 2, stride=2, bias=False) for wide, deep in pairwise(widths))
        self.middle = layers.residual_blocks(widths[-1], blocks)
        self.upward = nn.ModuleList(
            nn.ConvTranspose2d(deep, wide, 2, stride=2, bias=False) for wide, deep in pairwise(widths)
        )
        self.decoders = nn.ModuleList(layers.residual_blocks(width, blocks) for width in widths[:-1])
        self.tail = layers.convolution(widths[0], settings.channels * SHUFFLE**2)
        layers.initialise_residual_network(self)
        nn.init.zeros_(self.tail.weight)

    @override
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another U-Net of as many blocks or fewer; return False if they do not fit.

        A network for grey images starts as one for RGB that is given three equal channels.
        """
        if not isinstance(source, UNet) or source.settings.mosaic > self.settings.mosaic:
            return False
        numbers = source.state_dict()
        if self.channels == 1 < source.channels:
            numbers["head.filters"] = source.head.filters.sum(1, keepdim=True)
            # F.pixel_shuffle takes the outputs of a colour one after the other.
            tail = source.tail.weight
            numbers["tail.weight"] = tail.reshape(source.channels, -1, *tail.shape[1:]).mean(0)
        return layers.load_shallower_weights(self, numbers)

    @override
    def grid_stride(self, stride: int) -> int:
        return self.patch_size

    @override
    def blocks(self, height: int, width: int, stride: int, tile_size: int) -> list[GridBlock]:
        cell = self.patch_size
        return super().blocks(height - height % cell, width - width % cell, stride, tile_size)

    @override
    def windows(self, length: int, first: int = 0) -> list[Window]:
        """Return the whole cells, and a strip of cells along each end of the image whose pixels they leave out.

        Extended by its mirror image instead, an image of 481x321 pixels lost up to 0.04 dB: noise that is there twice
        looks like a detail, and training has shown edges. Only a side shorter than a strip is extended.
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

    @override
    def forward(
        self,
        observed: Tensor,
        conditioning: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Restore the cells of `observed`; pixels beyond the last whole cell stay uncovered, see `windows`.

        Raises ModelMismatchError for a mask, or for its absence in a network for mosaics.
        """
        if mask is not None and not self.settings.mosaic:
            raise ModelMismatchError("this U-Net needs every pixel and takes no mask; use a model made for masks")
        if mask is None and self.settings.mosaic:
            raise ModelMismatchError("this U-Net is for mosaics, and needs the mask that tells their pattern")
        cell = self.patch_size
        height, width = observed.shape[-2:]
        whole = height - height % cell, width - width % cell
        if tile_size is None:
            inner = observed[..., : whole[0], : whole[1]]
            border = (0, width % cell, 0, height % cell)
            return F.pad(self._estimate(inner, conditioning, mask), border), F.pad(torch.ones_like(inner[0, 0]), border)

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(self.halo // cell, *whole, cell)
            rows, cols = outer.window(cell)
            estimate = self._estimate(observed[..., rows, cols], conditioning, mask)
            rows, cols = block.window(cell)
            sums = estimate[..., rows.start - outer.top : rows.stop - outer.top, :]
            sums = sums[..., cols.start - outer.left : cols.stop - outer.left]
            return sums, torch.ones_like(sums[0, 0])

        return accumulate_blocks(restore, self.blocks(height, width, stride, tile_size), cell, like=observed)

    def _estimate(self, observed: Tensor, conditioning: Tensor, mask: Tensor | None) -> Tensor:
        """Return the estimate of images [B, C, H, W] whose sides are multiples of a cell's.

        The mask is that of a larger image, whose pattern is the same at the first pixel of each cell.
        """
        if mask is not None:
            observed = _flipped_to_rggb(observed, mask)
        features = self.head(observed, conditioning)
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
    """Flip images of even sides so that red, by the mask [B or 1, 3, H, W], begins at the top left; its own inverse."""
    red = mask[:, 0, :2, :2, None, None, None] > 0
    below, right = red[:, 1].any(1), red[:, :, 1].any(1)
    images = torch.where(below, images.flip(-2), images)
    return torch.where(right, images.flip(-1), images)
