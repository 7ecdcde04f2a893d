"""Convolutional networks: a small U-Net that restores whole tiles, an enlarger, and their layers.

There are no biases: features of an image t times as strong are t times as strong, so that training at one contrast or
noise strength carries over to others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from restorekit.errors import ModelMismatchError
from restorekit.models.base import Count, PatchNetwork, Reconstructor, View, Widths, Window
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, TRANSPOSED
from restorekit.numerics.patches import GridBlock, accumulate_blocks, regular_length
from restorekit.physics.base import Measurement
from restorekit.physics.blur import SCALES, BlurDecimation, bicubic_error
from restorekit.settings import Settings

SHUFFLE = 2
"""Features are half as high and wide as the image, which is a quarter of the work."""
UNET_HEAD_SIDE, ENLARGER_HEAD_SIDE = 6, 5
RGB = 3
FAR = 96
"""Pixels further away hardly matter. With no more around them, pixels estimated with four blocks at each size differed
from those of a larger image by at most 0.003 of 255 for noise and mosaics, and by 0.02 for a JPEG of quality 10."""
EDGE_SEEN, EDGE_KEPT = 5, 2
"""Cells across the strip that is seen along an edge where whole cells end before the image does, and those of them that
are kept. Wider strips gave 0.001 dB more, narrower ones as much less."""
TAIL_GAIN = 0.2
"""Makes the last convolution, which begins at zero, learn more slowly than the others."""
LEAST_WEIGHT = 1e-4
"""Weight of the estimate in the data step without noise: keeps the division finite, invisibly in eight bits."""


class DifferenceHead(nn.Module):
    """Differences of pixels plus the conditioning, at 1 / `stride` of the size; filters sum to zero in every colour.

    There are `width` features; the filters have `side` pixels across, and side - stride is even.
    """

    def __init__(self, channels: int, width: int, side: int, stride: int) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        self.filters = nn.Parameter(torch.zeros(width, channels, side, side))
        self.level_weights = nn.Parameter(torch.zeros(width))

    def forward(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """Return the features [B, F, H / stride, W / stride] of images [B, C, H, W]; the conditioning is [B]."""
        # Zeros around the image would be differences where it is bright. In memory colours lie side by side, and so do
        # the features that follow, which is faster on a CPU.
        padded = F.pad(images, [(self.side - self.stride) // 2] * 4, mode="replicate")
        padded = padded.contiguous(memory_format=torch.channels_last)
        # Differences are far smaller than the pixels, and 16 bits would round them away.
        with torch.autocast(images.device.type, enabled=False):
            differences = F.conv2d(padded, self.filters - self.filters.mean((2, 3), keepdim=True), stride=self.stride)
        # A constant map, filtered, is a constant map.
        return differences + (conditioning[:, None] * self.level_weights)[:, :, None, None]


class ResidualBlock(nn.Module):
    """h + B relu(A h), with 3x3 convolutions A and B of features [B, F, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = convolution(width, width), convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        change: Tensor = self.second(F.relu(self.first(features)))
        return features + change


def residual_blocks(width: int, count: int) -> nn.Sequential:
    """Return `count` of them, one after the other."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


@torch.no_grad()
def initialise_residual_network(network: nn.Module) -> None:
    """Draw random weights that keep the scale of features from layer to layer."""
    for module in network.modules():
        if isinstance(module, DifferenceHead):
            module.filters.normal_(0, module.filters[0].numel() ** -0.5)
            module.level_weights.normal_()
        elif isinstance(module, nn.ConvTranspose2d):
            # Its stride is its side, so that every output comes from one pixel.
            module.weight.normal_(0, module.in_channels**-0.5)
        elif isinstance(module, nn.Conv2d):
            module.weight.normal_(0, module.weight[0].numel() ** -0.5)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.first.weight.mul_(math.sqrt(2))
            module.second.weight.mul_(0.3)


@torch.no_grad()
def reinitialize(block: ResidualBlock, generator: torch.Generator) -> None:
    """Draw A at random and set B to zero: the block changes nothing, and learns."""
    kernel = torch.randn(block.first.weight.shape, generator=generator)
    block.first.weight.copy_(math.sqrt(2 / kernel[0].numel()) * kernel)
    nn.init.zeros_(block.second.weight)


def load_shallower_weights(network: nn.Module, numbers: Mapping[str, Tensor]) -> bool:
    """Copy the parameters of a network of as many residual blocks or fewer; return False, changing nothing, if they do
    not fit. Further blocks change nothing at first.
    """
    own, given = ({name: t.shape for name, t in some.items()} for some in (network.state_dict(), numbers))
    blocks = {name: module for name, module in network.named_modules() if isinstance(module, ResidualBlock)}
    new = [block for name, block in blocks.items() if f"{name}.second.weight" not in numbers]
    lacking = sum(len(block.state_dict()) for block in new)
    if len(given) + lacking != len(own) or not given.items() <= own.items():
        return False
    network.load_state_dict(numbers, strict=False)
    for block in new:
        nn.init.zeros_(block.second.weight)
    return True


@dataclass(frozen=True)
class UNetSettings(Settings):
    """The shapes of a `UNet`. channels: 1 grey, 3 RGB. widths: features at 1/2, 1/4, ... of the image's size.

    blocks: residual blocks at each size, on the way down and on the way up. mosaic: for interpolated Bayer mosaics.
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

    Sigma is one more map beside the image, as in K. Zhang et al., Plug-and-Play Image Restoration with Deep Denoiser
    Prior, 2021, section 3, whose network also has residual blocks between strided and transposed convolutions, but
    begins at full size and has thirty times the parameters. That training at one sigma carries over to others without
    biases is due to Mohan et al., Robust and Interpretable Blind Image Denoising via Bias-Free Convolutional Neural
    Networks, 2020. The brightness of a region says nothing of its noise: the first filters see differences alone, so
    that f(y + c) = f(y), and brightness, by far the largest part of an image, does not hinder training: after 320 steps
    that was worth 1.3 dB.

    Its patches are cells: squares as large as a pixel of its smallest features, side by side, each estimated once for
    any stride. The halo is the field of view up to `FAR`, in whole cells.

    The views are all eight symmetries. A network for mosaics sees an image flipped so that its pattern is RGGB, of
    which every Bayer pattern is a mirror image: features being two pixels apart, a filter meets the mosaic in the same
    way everywhere. Symmetries would be flipped back: its views are the mosaic and its transpose, with cells that begin
    at red, at the greens beside and below it, and at blue. With symmetries alone, of which two differ then, the mean
    over five pictures gained 0.13 dB, with these 0.24 dB.
    """

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings, self.channels = settings, settings.channels
        widths, blocks = settings.widths, settings.blocks
        cell = self.patch_size = SHUFFLE << len(widths) - 1
        # Each 3x3 convolution looks one pixel of its features further, and each pixel may lie at the edge of its cell.
        coarsest = cell // SHUFFLE
        convolutions = 2 + 2 * blocks * (2 * (coarsest - 1) + coarsest)
        self.halo = regular_length(min(SHUFFLE * convolutions + cell - 1, FAR), cell, cell)
        # Some six maps of the widest features.
        widest = max(width / (4.0**size) for size, width in enumerate(widths))
        self.bytes_per_patch = math.ceil(4 * (6 * widest / SHUFFLE**2 + 6 * self.channels) * cell**2)
        self.views = tuple(View(turn) for turn in range(DIHEDRAL_VIEWS))
        if settings.mosaic:
            self.views = tuple(View(*view) for view in product((0, TRANSPOSED), (0, 1), (0, 1)))
        self.head = DifferenceHead(settings.channels, widths[0], UNET_HEAD_SIDE, SHUFFLE)
        self.encoders = nn.ModuleList(residual_blocks(width, blocks) for width in widths[:-1])
        self.downward = nn.ModuleList(nn.Conv2d(wide, deep, 2, 2, bias=False) for wide, deep in pairwise(widths))
        self.middle = residual_blocks(widths[-1], blocks)
        self.upward = nn.ModuleList(nn.ConvTranspose2d(deep, wide, 2, 2, bias=False) for wide, deep in pairwise(widths))
        self.decoders = nn.ModuleList(residual_blocks(width, blocks) for width in widths[:-1])
        self.tail = convolution(widths[0], settings.channels * SHUFFLE**2)
        initialise_residual_network(self)
        nn.init.zeros_(self.tail.weight)

    @override
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another U-Net of as many blocks or fewer; return False if they do not fit. A network
        for grey images starts as one for RGB that is given three equal channels.
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
        (height, width), cell = observed.shape[-2:], self.patch_size
        whole = height - height % cell, width - width % cell
        if tile_size is None:
            inner = observed[..., : whole[0], : whole[1]]
            border = (0, width % cell, 0, height % cell)
            return F.pad(self._estimate(inner, conditioning, mask), border), F.pad(torch.ones_like(inner[0, 0]), border)

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(self.halo // cell, *whole, cell)
            estimate = self._estimate(observed[(..., *outer.window(cell))], conditioning, mask)
            inner = replace(block, top=block.top - outer.top, left=block.left - outer.left)
            sums = estimate[(..., *inner.window(cell))]
            return sums, torch.ones_like(sums[0, 0])

        return accumulate_blocks(restore, self.blocks(height, width, stride, tile_size), cell, like=observed)

    def _estimate(self, observed: Tensor, conditioning: Tensor, mask: Tensor | None) -> Tensor:
        """Return the estimate of images [B, C, H, W] whose sides are multiples of a cell's; the mask may be that of a
        larger image, as its pattern is the same at the first pixel of each cell.
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


@dataclass(frozen=True)
class EnlargerSettings(Settings):
    """The shapes of an `Enlarger`. channels: 1 grey, 3 RGB. width: features. blocks: residual blocks."""

    channels: Count
    width: Count
    blocks: Count


class Enlarger(Reconstructor):
    """One step of half-quadratic splitting: z = x_0 + P_s T_s f(y, sigma), then

        x = argmin_x  1/2 ||A x - y||^2 / sigma^2 + 1/2 ||x - z||^2 / e_s^2

    with x_0 the first guess, bicubic interpolation, f residual blocks on the small image y, T_s one more convolution
    for each scale s, whose s^2 features a pixel P_s arranges as s x s pixels, and e_s, learned, the error of z.

    Where the pixels of y lie among those of x differs from scale to scale; T_s knows it, while a denoiser has to guess
    it from patches. It is also s^2 times less work. `view`: how many pixels of y away a feature may depend on.
    Source: the layout is that of Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network, 2016; the data step that of N. Zhao et al., see `BlurDecimation.prox_l2`.
    """

    patch_size = 1
    repeated_part = "blocks"

    def __init__(self, settings: EnlargerSettings) -> None:
        super().__init__()
        self.settings, self.channels = settings, settings.channels
        self.view = ENLARGER_HEAD_SIDE // 2 + 2 * settings.blocks + 1
        self.head = DifferenceHead(settings.channels, settings.width, ENLARGER_HEAD_SIDE, stride=1)
        self.blocks = residual_blocks(settings.width, settings.blocks)
        self.tails = nn.ModuleList(convolution(settings.width, settings.channels * scale**2) for scale in SCALES)
        self.log_error = nn.Parameter(torch.tensor([bicubic_error(scale) for scale in SCALES]).log())
        initialise_residual_network(self)
        for weight in self.tails.parameters():
            nn.init.zeros_(weight)

    @override
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        return isinstance(source, Enlarger) and load_shallower_weights(self, source.state_dict())

    @override
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the images; `stride` and `tile_size` have no effect, as there is no grid of patches.

        Raises ModelMismatchError if the measurement is no decimation by one of the scales.
        """
        physics = measurement.physics
        if not isinstance(physics, BlurDecimation) or physics.scale not in SCALES:
            raise ModelMismatchError(f"an enlarger takes images made smaller by {', '.join(map(str, SCALES))}")
        place = SCALES.index(physics.scale)
        features = self.blocks(self.head(measurement.y, measurement.sigma))
        z = measurement.x0 + TAIL_GAIN * F.pixel_shuffle(self.tails[place](features), physics.scale)
        ratio = (measurement.sigma / self.log_error[place].exp()).square() + LEAST_WEIGHT
        return physics.prox_l2(z, measurement.y, ratio.reshape(-1, 1, 1, 1))
