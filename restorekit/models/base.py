"""What every network of the zoo can do, whatever is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from restorekit.tiling import GridBlock, grid_blocks, regular_length


class PatchNetwork(nn.Module, ABC):
    """A network that estimates a clean image from the patches of an observed one."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""

    @property
    @abstractmethod
    def halo(self) -> int:
        """How far around a tile it looks, in pixels; 0 if each patch is restored by itself."""

    @property
    @abstractmethod
    def bytes_per_patch(self) -> int:
        """Working memory that one patch of a tile costs."""

    def blocks(self, height: int, width: int, stride: int, tile_size: int) -> list[GridBlock]:
        """The blocks of patches that tiles of an image are restored by.

        Where patches look at others they lie on one regular grid, whose end may be some pixels beyond the image's.
        """
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
