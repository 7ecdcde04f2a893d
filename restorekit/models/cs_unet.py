"""Compressed sensing with a U-Net (CS-UNet): it denoises, then the data has its say, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.models.base import Network, Recording
from restorekit.models.cs_network import Estimate, KspaceNetwork
from restorekit.models.settings import SettingsReader
from restorekit.models.unet import UNet, UNetSettings
from restorekit.tiling import regular_length
from restorekit.turns import TURNS, turned, turned_back

LAST_LEVEL = 0.1
"""Before training the U-Net is told in the last step this part of the noise level that it is told in the first."""


@dataclass(frozen=True)
class CsUNetSettings:
    """What fixes the shapes of a `CsUNet` network.

    channels: 1 real, 2 complex images. steps: K. knots: levels in [0, 1] at which its schedule is stored. widths,
    blocks: of the U-Net, see `UNetSettings`.
    """

    channels: int
    steps: int
    knots: tuple[float, ...]
    widths: tuple[int, ...]
    blocks: int

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> CsUNetSettings:
        """From the settings on a model card. Raises WeightsError if they do not describe a network."""
        given = SettingsReader.of(settings, cls, "cs-unet")
        if given.levels("knots")[-1] == 0:
            raise given.error("knots", "levels of which the last is above 0", settings["knots"])
        return cls(
            channels=given.count("channels"),
            steps=given.count("steps"),
            knots=given.levels("knots"),
            widths=given.counts("widths"),
            blocks=given.count("blocks"),
        )


class CsUNet(KspaceNetwork):
    """z_k = D(x_k, sigma_k), with one U-Net D for all steps, told noise levels sigma_k that are learned.

    Real and imaginary part are denoised as two images. Like the Fourier transform, D takes an image to be periodic
    where its sides are no multiples of a cell's. With every patch asked for, `stride` 1, the result is the mean over
    all turns and mirror images: of K steps in each of which D sees the image so turned.

    Source: Aggarwal, Mani and Jacob, MoDL: Model Based Deep Learning Architecture for Inverse Problems, 2019, for a
    network that all steps share between exact data steps.
    """

    def __init__(self, settings: CsUNetSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots)
        self.settings = settings
        self.denoiser = UNet(UNetSettings(1, settings.widths, settings.blocks))
        levels = torch.tensor(settings.knots).clamp_min(settings.knots[-1] * LAST_LEVEL)[:, None]
        falling = torch.logspace(0, 1, settings.steps, LAST_LEVEL)
        self.log_level = nn.Parameter((levels * falling).log())  # sigma_k

    @property
    def patch_size(self) -> int:
        """An image may be smaller than a cell, since it is periodic."""
        return 1

    @property
    def repeated(self) -> nn.Module:
        """The U-Net."""
        return self.denoiser

    @torch.no_grad()
    def adopt(self, source: Network) -> bool:
        """Take over the numbers of another CS-UNet, or those of a denoiser; False if they do not fit."""
        return self.denoiser.adopt(source) if isinstance(source, UNet) else super().adopt(source)

    def iterates(self, recording: Recording, stride: int) -> Iterator[Tensor]:
        """See `KspaceNetwork.iterates`."""
        if stride > 1:
            yield from super().iterates(recording, stride)
            return
        tensors = (recording.y, recording.start, recording.level, recording.noise)
        repeated = (tensor.repeat(TURNS, *[1] * (tensor.ndim - 1)) for tensor in tensors)
        for x in super().iterates(Recording(recording.physics, *repeated), stride):
            yield x.reshape(TURNS, -1, *x.shape[1:]).mean(0)

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        missing: Tensor = self.interpolate(self.log_level, level).exp()
        levels = (missing.square() + noise.square()[:, None]).sqrt()

        def estimate(k: int, x: Tensor) -> Estimate:
            height, width = x.shape[2:]
            cell = self.denoiser.patch_size
            rows, cols = (
                torch.arange(regular_length(side, cell, cell), device=x.device) % side for side in (height, width)
            )
            parts = x.reshape(-1, 1, height, width)[..., rows, :][..., cols]
            told = levels[:, k].repeat_interleave(x.shape[1])
            ways = TURNS if stride == 1 else 1
            denoised = [
                turned_back(self.denoiser(turned(some, turn), at)[0], turn)
                for turn, (some, at) in enumerate(zip(parts.chunk(ways), told.chunk(ways), strict=True))
            ]
            return Estimate(torch.cat(denoised)[..., :height, :width].reshape(x.shape))

        return estimate
