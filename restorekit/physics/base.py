"""Linear models of how an image is recorded, y = A x + sigma n: what the solvers need to know of A."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from restorekit.errors import UsageError
from restorekit.physics.noise import add_gaussian_noise


class Physics(ABC):
    """y = A x + sigma n, n standard normal. Images x are [B, C, H, W], float32 or float64; y is what A makes of them.

    Operators keep the type and the device of what they are given, and gradients pass through them.
    """

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:  # noqa: N802 - the field's name
        """A x, without noise."""

    @abstractmethod
    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """A^T y, so that <A x, y> = <x, A^T y>."""

    @abstractmethod
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """argmin_x 1/2 ||A x - y||^2 + gamma/2 ||x - z||^2 = (A^T A + gamma)^-1 (A^T y + gamma z), in closed form.

        Args:
            z: images, [B, C, H, W].
            y: what was observed, of the shape that A makes of them.
            gamma: above 0; a number, a tensor of one, or one an image as [B, 1, 1, 1]. Differentiable.
        """

    def observe(self, x: Tensor, sigma: float, generator: torch.Generator | int) -> Tensor:
        """A x + sigma n, neither clipped nor rounded; sigma in [0, 1], an integer is the seed of a fresh generator."""
        return add_gaussian_noise(self.A(x), sigma, generator)


class Identity(Physics):
    """y = x: plain noise."""

    def A(self, x: Tensor) -> Tensor:  # noqa: N802
        """The image x itself."""
        return x

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """The image y itself."""
        return y

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """(y + gamma z) / (1 + gamma)."""
        return (y + gamma * z) / (1 + gamma)


IDENTITY = Identity()


class Masked(Physics):
    """y = M x, zero where nothing was observed: inpainting, or with `mosaic.bayer_mask` a camera's mosaic.

    Args:
        mask: M, of zeros and ones, [H, W], [C, H, W] or [B, C, H, W].

    Raises:
        UsageError: a mask with other values.
    """

    def __init__(self, mask: Tensor) -> None:
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise UsageError("a mask is made of zeros and ones")
        self._mask = mask

    def A(self, x: Tensor) -> Tensor:  # noqa: N802
        """M x."""
        return x * self._mask.to(x)

    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """M y."""
        return y * self._mask.to(y)

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """(M y + gamma z) / (M + gamma), pixel by pixel."""
        mask = self._mask.to(z)
        return (mask * y + gamma * z) / (mask + gamma)


@dataclass(frozen=True, eq=False)
class Measurement:
    """One thing observed of images, y = A x + sigma n, and what a network is told about it.

    y: the observation, of the shape that A gives images [B, C, H, W]. x0: a first guess of the images, [B, C, H, W].
    conditioning: how strong the degradation is, [B] in [0, 1], as networks take it. sigma: standard deviation of the
    noise, [B] in [0, 1]. physics: A, the same for all images of a batch. mask: 1 where a value
    of x0 was observed and 0 where it was interpolated, like x0; None if all were observed.
    """

    y: Tensor
    x0: Tensor
    conditioning: Tensor
    sigma: Tensor
    physics: Physics = IDENTITY
    mask: Tensor | None = None

    def to(self, device: torch.device) -> Measurement:
        """Return the same on another device; operators follow the tensors they are given."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pin_memory(self) -> Measurement:
        """Return the same where a GPU can fetch it while the CPU goes on."""
        return self._map(lambda tensor: tensor.contiguous().pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Measurement:
        # Where the observation is the first guess, and its sigma the conditioning, each is changed once.
        y, conditioning = change(self.y), change(self.conditioning)
        return Measurement(
            y,
            y if self.x0 is self.y else change(self.x0),
            conditioning,
            conditioning if self.sigma is self.conditioning else change(self.sigma),
            self.physics,
            None if self.mask is None else change(self.mask),
        )
