"""What every network of the zoo can do, whatever is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.numerics.patches import GridBlock, grid_blocks, regular_length
from restorekit.physics.base import Measurement


class Reconstructor(nn.Module, ABC):
    """A network that makes images of what was measured of them."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 for grey images, 2 for complex ones, 3 for RGB."""

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""

    @property
    def matrices(self) -> tuple[str, ...]:
        """The names of the parameters that are matrices, whose rows and columns training may precondition."""
        return ()

    @property
    def rates(self) -> Mapping[str, float]:
        """The learning rates of the parameters that have one of their own in training."""
        return {}

    @property
    def repeated(self) -> nn.Module:
        """The part that does most of the work, which training may compile."""
        return self

    @abstractmethod
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the images [B, C, H, W]; values may lie outside [0, 1].

        Args:
            measurement: what was observed, and how.
            stride: of its patch grids, if it has any.
            tile_size: of the blocks that patches are restored in, as in `PatchNetwork.forward`.
        """

    def fitted(
        self, measurement: Measurement, stride: int, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor | None], ...]:
        """Return the images that training compares with the clean ones, with gradients.

        Each comes with the weight of its pixels, [H, W], or None where all count alike. `generator` is for numbers
        drawn at random.
        """
        return ((self.reconstruct(measurement, stride), None),)

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of another network; False if they do not fit."""
        own, numbers = self.state_dict(), source.state_dict()
        if {name: tensor.shape for name, tensor in own.items()} != {name: t.shape for name, t in numbers.items()}:
            return False
        self.load_state_dict(numbers)
        return True


@dataclass(frozen=True)
class Window:
    """Pixels of one side of an image that are restored together, `seen`, and those whose estimate is `kept`."""

    seen: slice
    kept: slice

    @property
    def length(self) -> int:
        """Of what is seen."""
        length: int = self.seen.stop - self.seen.start
        return length

    @property
    def within(self) -> slice:
        """Where in the window what is kept lies."""
        return slice(self.kept.start - self.seen.start, self.kept.stop - self.seen.start)


@dataclass(frozen=True)
class View:
    """How a network is shown an image: by a turn of `turns.turned`, cells beginning `down` and `right` of a corner."""

    turn: int = 0
    down: int = 0
    right: int = 0


class PatchNetwork(Reconstructor):
    """A network that estimates a clean image from the patches of an observed one."""

    @property
    @abstractmethod
    def halo(self) -> int:
        """How many pixels around a tile it is given; 0 if each patch is restored by itself."""

    @property
    @abstractmethod
    def bytes_per_patch(self) -> int:
        """Working memory that one patch of a tile costs."""

    @property
    def has_strides(self) -> bool:
        """Whether fewer patches may be restored than there are."""
        return self.grid_stride(1) != self.grid_stride(2)

    def grid_stride(self, stride: int) -> int:
        """The distance of the patches it restores when asked for every stride-th one."""
        return stride

    @property
    def views(self) -> tuple[View, ...]:
        """The views whose estimates are averaged at the best quality; otherwise the first is enough."""
        return (View(),)

    def windows(self, length: int, first: int = 0) -> list[Window]:
        """The parts to restore a side of `length` pixels by, which are kept one over the other in their order.

        first: where cells begin. The last may end beyond the image, which then has to be continued.
        """
        whole = slice(0, max(length, self.patch_size))
        return [Window(whole, whole)]

    def continued_length(self, length: int) -> int:
        """How far a side of `length` pixels has to be continued for the last of its `windows`; at least `length`."""
        end: int = self.windows(length)[-1].seen.stop
        return max(length, end)

    def blocks(self, height: int, width: int, stride: int, tile_size: int) -> list[GridBlock]:
        """The blocks of patches that tiles of an image are restored by.

        Where patches look at others they lie on one regular grid, whose end may be some pixels beyond the image's.
        """
        stride = self.grid_stride(stride)
        if self.halo:
            height, width = (regular_length(side, self.patch_size, stride) for side in (height, width))
        return grid_blocks(height, width, self.patch_size, stride, tile_size)

    @abstractmethod
    def forward(
        self,
        observed: Tensor,
        level: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sum of the patch estimates and their number at each pixel; the estimate is their quotient.

        Args:
            observed: images [B, C, H, W], at least as high and wide as a patch; values outside [0, 1] are welcome.
            level: how strong the degradation is, [B]: for noise its standard deviation, in [0, 1].
            stride: restore every stride-th patch in each direction.
            tile_size: restore blocks of at most this many pixels across, each patch once and the last row and column of
                patches included. None restores the regular grid in one go and leaves pixels beyond it uncovered.
            mask: 1 where a value was observed, 0 where not, [B, C, H, W]; None if all were.

        Returns:
            sums [B, C, H, W] and coverage [H, W].
        """

    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the quotient of sums and coverage for the first guess of a measurement."""
        sums, covered = self(measurement.x0, measurement.conditioning, stride, tile_size, mask=measurement.mask)
        quotient: Tensor = sums / covered
        return quotient

    def fitted(
        self, measurement: Measurement, stride: int, generator: torch.Generator
    ) -> tuple[tuple[Tensor, Tensor | None], ...]:
        """Return the estimate with its coverage as the weight of pixels.

        That makes up for the border of a crop, which fewer patches cover: Lecouat, Ponce and Mairal, Fully Trainable
        and Interpretable Non-Local Sparse Models, section 3.6.
        """
        sums, covered = self(measurement.x0, measurement.conditioning, stride, mask=measurement.mask)
        return ((sums / covered.clamp_min(1), covered),)
