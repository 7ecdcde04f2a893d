"""What every denoiser of the zoo can do, whatever is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Denoiser(nn.Module, ABC):
    """A network that estimates a clean image from the patches of a noisy one."""

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
    def tile_bytes_per_pixel(self) -> int:
        """Working memory that one pixel of a tile costs at stride 1, in bytes."""

    @abstractmethod
    def forward(
        self, noisy: Tensor, sigma: Tensor, stride: int = 1, tile_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sum of the patch estimates and their number at each pixel; the estimate is their quotient.

        Args:
            noisy: images [B, C, H, W], at least as high and wide as a patch; values outside [0, 1] are welcome.
            sigma: noise levels in [0, 1], [B].
            stride: code every stride-th patch in each direction.
            tile_size: code blocks of at most this many pixels across, each patch once and the last row and column of
                patches included. None codes the regular grid in one go and leaves pixels beyond it uncovered.

        Returns:
            sums [B, C, H, W] and coverage [H, W].
        """
