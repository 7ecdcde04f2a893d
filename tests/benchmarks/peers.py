"""The networks that denoisers are compared with, DnCNN and FFDNet, and their published weights.

The authors' MatConvNet files are read with h5py; batch normalisation is merged into their convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.benchmarks.conditions import Image

DNCNN_SIGMAS = (15, 25, 50)
"""There is a DnCNN for each of these noise levels, and a blind one for all levels up to 55."""


class DnCNN(nn.Module):
    """x = y - f(y), where f is a stack of 3x3 convolutions with ReLU between: [B, C, H, W] -> the same.

    Source: Zhang et al., Beyond a Gaussian Denoiser, 2017: 17 layers of 64 features for one noise level, 20 if blind.
    """

    def __init__(self, channels: int = 1, layers: int = 17) -> None:
        super().__init__()
        self.noise = convolutions(channels, channels, layers, 64)

    def forward(self, noisy: Tensor, sigma: float) -> Tensor:
        """The estimate; it does not ask for the noise level."""
        estimate: Tensor = noisy - self.noise(noisy)
        return estimate


class FFDNet(nn.Module):
    """x = up(f(down(y), sigma)), where down deals the pixels out to four images of half the size and up puts them back.

    f is a stack of 3x3 convolutions with ReLU between, and sigma one more channel.
    Source: Zhang, Zuo and Zhang, FFDNet, 2018: 15 layers of 64 features for grey images, 12 of 96 for colour ones.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers, features = (15, 64) if channels == 1 else (12, 96)
        self.denoise = convolutions(4 * channels + 1, 4 * channels, layers, features)

    def forward(self, noisy: Tensor, sigma: float) -> Tensor:
        """[B, C, H, W] of any size and the noise level in [0, 1] -> the estimate."""
        height, width = noisy.shape[-2:]
        even = F.pad(noisy, (0, width % 2, 0, height % 2), mode="replicate")
        quarters = F.pixel_unshuffle(even, 2)
        strength = torch.full_like(quarters[:, :1], sigma)
        return F.pixel_shuffle(self.denoise(torch.cat([quarters, strength], 1)), 2)[..., :height, :width]


def convolutions(inputs: int, outputs: int, layers: int, features: int) -> nn.Sequential:
    """`layers` 3x3 convolutions with ReLU between, `features` channels inside."""
    stack: list[nn.Module] = [nn.Conv2d(inputs, features, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(layers - 2):
        stack += [nn.Conv2d(features, features, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*stack, nn.Conv2d(features, outputs, 3, padding=1))


@dataclass(frozen=True)
class Neighbour:
    """A method to denoise: a network that takes [B, C, H, W] and the noise level in [0, 1]."""

    name: str
    network: DnCNN | FFDNet

    @torch.inference_mode()
    def __call__(self, noisy: Image, sigma: float) -> Image:
        """[H, W] or [H, W, 3] -> the same."""
        batch = torch.from_numpy(np.atleast_3d(noisy)).permute(2, 0, 1)[None].contiguous()
        estimate: Image = self.network(batch, sigma)[0].permute(1, 2, 0).numpy()
        return estimate.reshape(noisy.shape)


def load_dncnn(folder: Path, sigma: float) -> Neighbour:
    """The grey DnCNN for a noise level on the scale 0..255: the one trained for it, or else the blind one."""
    trained = sigma in DNCNN_SIGMAS
    network = DnCNN() if trained else DnCNN(layers=20)
    _fill(network.noise, folder / (f"dncnn-gray-sigma{sigma:.0f}.mat" if trained else "DnCNN3.mat"))
    return Neighbour("DnCNN" if trained else "DnCNN (blind)", network.eval())


def load_ffdnet(folder: Path, channels: int) -> Neighbour:
    """The FFDNet for images of 1 or 3 channels, at any noise level."""
    network = FFDNet(channels)
    first, *_, last = _fill(network.denoise, folder / ("FFDNet_gray.mat" if channels == 1 else "FFDNet_color.mat"))
    # In the files the four quarters go down the columns first, in torch along the rows.
    order = torch.arange(4 * channels).view(channels, 2, 2).mT.reshape(-1)
    with torch.no_grad():
        first.weight[:, : 4 * channels] = first.weight[:, order]
        for parameter in last.parameters():
            parameter.copy_(parameter[order])
    return Neighbour("FFDNet", network.eval())


def _fill(stack: nn.Sequential, path: Path) -> list[nn.Conv2d]:
    """Give the convolutions the kernels and biases of a MatConvNet file, and return them."""
    layers = [layer for layer in stack if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for layer, stored in zip(layers, _read_convolutions(path), strict=True):
            for parameter, values in zip(layer.parameters(), stored, strict=True):
                parameter.copy_(values.reshape(parameter.shape))
    return layers


def _read_convolutions(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Kernels [outputs, inputs, 3, 3], that of a single output without its axis, and biases."""
    import h5py

    with h5py.File(path) as file:
        for layer in (file[reference] for reference in file["net/layers"][()].flat):
            if bytes(layer["type"][()].astype(np.uint8)) == b"conv":
                kernel, bias = (torch.from_numpy(file[reference][()]) for reference in layer["weights"][()].flat)
                yield kernel.mT, bias  # MATLAB stores columns.
