"""What every denoiser of the zoo can do, whatever is inside."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Denoiser(Protocol):
    """A network that estimates a clean image from patches or blocks of a noisy one."""

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""

    @property
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""

    @property
    def tile_bytes_per_pixel(self) -> int:
        """Working memory that one pixel of a tile costs at stride 1, in bytes."""

    def __call__(
        self, noisy: Tensor, sigma: Tensor, stride: int = 1, tile_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sum of the estimates [B, C, H, W] and coverage [H, W]; see `SparseCoding.forward`."""
