"""Layers of convolutional networks.

There are no biases: features of an image t times as strong are t times as strong, so that training at one contrast or
noise strength carries over to others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DifferenceHead(nn.Module):
    """Differences of pixels plus the conditioning, at 1 / `stride` of the size; filters sum to zero in every colour.

    channels: of the images. width: number of features. side: of the filters; side - stride is even. stride: distance of
    two features, in pixels.
    """

    def __init__(self, channels: int, width: int, side: int, stride: int) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        self.filters = nn.Parameter(torch.zeros(width, channels, side, side))
        self.level_weights = nn.Parameter(torch.zeros(width))

    def forward(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """Return the features [B, F, H / stride, W / stride] of images [B, C, H, W]; the conditioning is [B]."""
        margin = (self.side - self.stride) // 2
        rows, cols = (
            torch.arange(-margin, side + margin, device=images.device).clamp(0, side - 1) for side in images.shape[-2:]
        )
        # Zeros around the image would be differences where it is bright. In memory colours lie side by side, and so do
        # the features that follow, which is faster on a CPU.
        padded = images[..., rows, :][..., cols].contiguous(memory_format=torch.channels_last)
        # Differences are far smaller than the pixels, and 16 bits would round them away.
        with torch.autocast(images.device.type, enabled=False):
            differences = F.conv2d(padded, self.filters - self.filters.mean((2, 3), keepdim=True), stride=self.stride)
        # A constant map, filtered, is a constant map.
        return differences + (conditioning[:, None] * self.level_weights)[:, :, None, None]


class ResidualBlock(nn.Module):
    """h + B relu(A h), with 3x3 convolutions A and B of features [B, F, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

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
    own = network.state_dict()
    blocks = {name: module for name, module in network.named_modules() if isinstance(module, ResidualBlock)}
    new = [block for name, block in blocks.items() if f"{name}.second.weight" not in numbers]
    lacking = sum(len(block.state_dict()) for block in new)
    if len(numbers) + lacking != len(own) or any(
        name not in own or own[name].shape != tensor.shape for name, tensor in numbers.items()
    ):
        return False
    network.load_state_dict(numbers, strict=False)
    for block in new:
        nn.init.zeros_(block.second.weight)
    return True
