"""Linear models of how an image is recorded, y = A x + sigma n, and what is known of one recording."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from restorekit.errors import UsageError
from restorekit.physics.noise import add_gaussian_noise


class Physics(ABC):
    """y = A x + sigma n, n standard normal. Images x are [B, C, H, W], float32 or float64; A fixes the shape of y.

    Operators keep the type and the device of their argument, and gradients pass through them.
    """

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:  # noqa: N802 - the field's name
        """Return A x, without noise."""

    @abstractmethod
    def A_adjoint(self, y: Tensor) -> Tensor:  # noqa: N802
        """Return A^T y, so that <A x, y> = <x, A^T y>."""

    @abstractmethod
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        """Return argmin_x 1/2 ||A x - y||^2 + gamma/2 ||x - z||^2 = (A^T A + gamma)^-1 (A^T y + gamma z).

        gamma is above 0: a number, a tensor of one, or [B, 1, 1, 1]. The result is differentiable in z, y and gamma.
        """

    def observe(self, x: Tensor, sigma: float, generator: torch.Generator | int) -> Tensor:
        """Return A x + sigma n, neither clipped nor rounded; an integer is the seed of a new generator."""
        return add_gaussian_noise(self.A(x), sigma, generator)


class Identity(Physics):
    """y = x: plain noise."""

    @override
    def A(self, x: Tensor) -> Tensor:
        return x

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return y

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        return (y + gamma * z) / (1 + gamma)


IDENTITY = Identity()


class Masked(Physics):
    """y = M x, zero where nothing was observed: inpainting, or a camera's mosaic with `mosaic.bayer_mask`.

    M holds zeros and ones, [H, W], [C, H, W] or [B, C, H, W]. Raises UsageError for other values.
    """

    def __init__(self, mask: Tensor) -> None:
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise UsageError("a mask is made of zeros and ones")
        self._mask = mask

    @override
    def A(self, x: Tensor) -> Tensor:
        return x * self._mask.to(x)

    @override
    def A_adjoint(self, y: Tensor) -> Tensor:
        return y * self._mask.to(y)

    @override
    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor) -> Tensor:
        mask = self._mask.to(z)
        return (mask * y + gamma * z) / (mask + gamma)


@dataclass(frozen=True, eq=False)
class Measurement:
    """An observation of images, y = A x + sigma n, and all that a network is told about it.

    x0: a first guess of the images, [B, C, H, W]. conditioning: how strong the degradation is, [B] in [0, 1], as
    networks take it. sigma: [B] in [0, 1]. physics: A, the same for all images of a batch. mask: like x0, 1 where a
    value of it was observed and 0 where it was interpolated; None if all were observed.
    """

    y: Tensor
    x0: Tensor
    conditioning: Tensor
    sigma: Tensor
    physics: Physics = IDENTITY
    mask: Tensor | None = None

    def to(self, device: torch.device) -> Measurement:
        """Return the measurement on another device; operators follow the tensors they are given."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def pin_memory(self) -> Measurement:
        """Return the measurement in memory from which a GPU can fetch it while the CPU goes on."""
        return self._map(lambda tensor: tensor.contiguous().pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Measurement:
        # Tensors that are one and the same are changed once, and stay one.
        y, conditioning = change(self.y), change(self.conditioning)
        x0 = y if self.x0 is self.y else change(self.x0)
        sigma = conditioning if self.sigma is self.conditioning else change(self.sigma)
        return Measurement(y, x0, conditioning, sigma, self.physics, None if self.mask is None else change(self.mask))
