"""The base classes of networks, and the types of their settings."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Lt, MinLen
from pydantic import AfterValidator
from torch import Tensor, nn
from typing_extensions import override

from restorekit.numerics.patches import GridBlock, grid_blocks, regular_length
from restorekit.physics.base import Measurement


def _increasing(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(low >= high for low, high in pairwise(values)):
        raise ValueError("the numbers must increase")
    return values


Count = Annotated[int, Ge(1)]
Number = Annotated[float, Ge(0), Lt(math.inf)]
Steps = Annotated[tuple[Count, ...], AfterValidator(_increasing)]
Widths = Annotated[tuple[Count, ...], MinLen(1)]
Knots = Annotated[tuple[Number, ...], MinLen(1), AfterValidator(_increasing)]
Fitted = tuple[tuple[Tensor, Tensor | None], ...]
"""Images, each with the weights of its pixels, [H, W], or None where all count alike."""


class Reconstructor(nn.Module, ABC):
    """A network that makes images of a measurement.

    channels: 1 for grey images, 2 for complex ones, 3 for RGB. patch_size: the least height and width of an image, in
    pixels. matrices: names of the parameters that are matrices, whose rows and columns training may precondition.
    rates: learning rates of parameters that have one of their own. repeated_part: name of the submodule that does most
    of the work, empty for the network itself.
    """

    channels: int
    patch_size: int
    matrices: tuple[str, ...] = ()
    rates: Mapping[str, float] = MappingProxyType({})
    repeated_part: str = ""

    @property
    def repeated(self) -> nn.Module:
        """The submodule that training may compile."""
        return self.get_submodule(self.repeated_part)

    @abstractmethod
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the images [B, C, H, W], perhaps outside [0, 1]; stride and tile_size as in `PatchNetwork.forward`."""

    def fitted(self, measurement: Measurement, stride: int, generator: torch.Generator) -> Fitted:
        """Return the images that training compares with the clean ones; `generator` serves random draws."""
        return ((self.reconstruct(measurement, stride), None),)

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another network; return False if they do not fit."""
        own, given = ({name: t.shape for name, t in some.state_dict().items()} for some in (self, source))
        if own == given:
            self.load_state_dict(source.state_dict())
        return own == given


@dataclass(frozen=True)
class Window:
    """Pixels of one side of an image that are restored together, `seen`, and those whose estimate is `kept`."""

    seen: slice
    kept: slice

    @property
    def length(self) -> int:
        """The number of pixels seen."""
        return int(self.seen.stop - self.seen.start)

    @property
    def within(self) -> slice:
        """Where the kept pixels lie in the window."""
        return slice(self.kept.start - self.seen.start, self.kept.stop - self.seen.start)


@dataclass(frozen=True)
class View:
    """How a network is shown an image: by a symmetry of `numerics.dihedral`, with cells from `down` and `right` on."""

    turn: int = 0
    down: int = 0
    right: int = 0


class PatchNetwork(Reconstructor):
    """A network that estimates a clean image from the patches of an observed one.

    halo: pixels around a tile that it also looks at; 0 if each patch is restored by itself. bytes_per_patch: working
    memory for a patch of a tile. views: those whose estimates are averaged at the best quality; else the first is used.
    """

    halo: int = 0
    bytes_per_patch: int
    views: tuple[View, ...] = (View(),)

    @property
    def has_strides(self) -> bool:
        """Whether fewer patches may be restored than there are."""
        return self.grid_stride(1) != self.grid_stride(2)

    def grid_stride(self, stride: int) -> int:
        """Return the distance of the restored patches when asked for every stride-th one."""
        return stride

    def windows(self, length: int, first: int = 0) -> list[Window]:
        """Return the windows, later ones overwriting earlier ones, that restore a side with cells from `first` on.

        The last window may end beyond the image, which then has to be extended.
        """
        whole = slice(0, max(length, self.patch_size))
        return [Window(whole, whole)]

    def continued_length(self, length: int) -> int:
        """Return how far a side of `length` pixels has to be extended for the last of its `windows`."""
        return max(length, int(self.windows(length)[-1].seen.stop))

    def blocks(self, height: int, width: int, stride: int, tile_size: int) -> list[GridBlock]:
        """Return the blocks of patches that an image is restored by in tiles.

        Patches that look at others lie on one regular grid, which may end some pixels beyond the image.
        """
        stride = self.grid_stride(stride)
        if self.halo:
            height, width = (regular_length(side, self.patch_size, stride) for side in (height, width))
        return grid_blocks(height, width, self.patch_size, stride, tile_size)

    @abstractmethod
    def forward(
        self,
        observed: Tensor,
        conditioning: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return sums of the patch estimates, [B, C, H, W], and their number at each pixel, [H, W], to divide by.

        observed: images [B, C, H, W], at least as high and wide as a patch; values outside [0, 1] are welcome.
        conditioning: how strong the degradation is, [B]: for noise its sigma, in [0, 1]. stride: restore every
        stride-th patch in each direction. tile_size: restore blocks of at most this many pixels across, each patch once
        and the last row and column of patches included; None restores the regular grid at once and leaves pixels beyond
        it uncovered. mask: 1 where a value was observed, 0 where not, [B, C, H, W]; None if all were.
        """

    @override
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        sums, covered = self(measurement.x0, measurement.conditioning, stride, tile_size, mask=measurement.mask)
        quotient: Tensor = sums / covered
        return quotient

    @override
    def fitted(self, measurement: Measurement, stride: int, generator: torch.Generator) -> Fitted:
        """Return the estimate with its coverage as weight, to make up for the border of a crop, which fewer patches
        cover: Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, section 3.6.
        """
        sums, covered = self(measurement.x0, measurement.conditioning, stride, mask=measurement.mask)
        return ((sums / covered.clamp_min(1), covered),)
