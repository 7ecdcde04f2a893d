"""K-space and masks as they come in files, brought into one order: zero frequency at [0, 0], 1 where measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UnsupportedImageError
from restorekit.physics.centring import centredness
from restorekit.physics.sampling import Sampling

Slices = NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A mask that was read, [H, W] or [1, W], and where it has zero frequency; None: to be guessed."""

    values: NDArray[np.bool_]
    centred: bool | None = None

    @property
    def share(self) -> float:
        """Of the frequencies that are sampled, in [0, 1]."""
        return float(self.values.mean())

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """The mask [H, W], zero frequency at [0, 0], and remarks. Raises UnsupportedImageError for another shape."""
        if self.values.shape not in ((height, width), (1, width)):
            raise UnsupportedImageError(
                f"the mask is of shape {list(self.values.shape)}, but k-space of {[height, width]}; they must be equal"
            )
        notes: tuple[str, ...] = ()
        centred = self.centred
        if centred is None:
            centred = centredness(self.values) >= 0
            notes = (f"mask taken as {describe_order(centred)}",)
        values = np.broadcast_to(self.values, (height, width))
        if centred:
            values = np.fft.ifftshift(values, axes=(0, 1) if len(self.values) > 1 else 1)
        return torch.from_numpy(values.copy()), notes


@dataclass(frozen=True)
class DrawnMask:
    """A mask that is made for each size; see `Sampling.mask`."""

    sampling: Sampling
    seed: int

    @property
    def share(self) -> float:
        """Of the frequencies that are sampled, in (0, 1], about."""
        return self.sampling.share

    def mask(self, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
        """The mask [H, W], zero frequency at [0, 0], and which share of it is sampled."""
        drawn = self.sampling.mask(height, width, self.seed)
        return drawn, (f"{100 * float(drawn.float().mean()):.1f} % of k-space sampled",)


MaskSource = MaskFile | DrawnMask


@dataclass(frozen=True, eq=False)
class Samples:
    """Slices of k-space [S, H, W] with zero frequency at [0, 0], zero where the mask [H, W] is.

    centred: whether the file had it in the middle, and so the middle of the image for its origin. notes: for the user.
    """

    slices: Slices
    mask: Tensor
    centred: bool
    notes: tuple[str, ...]


def arrange(slices: Slices, source: MaskSource | None, centred: bool | None) -> Samples:
    """What a file holds, in order.

    Args:
        slices: [S, H, W], not all zero.
        source: of the mask; None where k-space is zero in all slices is what was not measured.
        centred: where zero frequency is, None to guess it.

    Raises:
        UnsupportedImageError: mask and k-space do not fit, or the mask takes none of what was measured.
    """
    notes: tuple[str, ...] = ()
    if centred is None:
        centred = centredness(np.abs(slices).max(0)) >= 0
        notes = (f"k-space taken as {describe_order(centred)}",)
    if centred:
        slices = np.fft.ifftshift(slices, axes=(1, 2))
    if source is None:
        mask = torch.from_numpy((slices != 0).any(0))
        share = 100 * float(mask.float().mean())
        notes += (f"no mask was named; the {share:.1f} % of k-space that are not zero are taken as measured",)
    else:
        mask, said = source.mask(*slices.shape[1:])
        notes += said
    slices = np.where(mask.numpy(), slices, np.complex64(0))
    if not slices.any():
        raise UnsupportedImageError("k-space is zero wherever the mask has a sample; is zero frequency in the middle?")
    return Samples(slices, mask, centred, notes)


def describe_order(centred: bool) -> str:
    """In words, with the option that says otherwise."""
    if centred:
        return "centred, zero frequency in the middle (--not-centred if it is at [0, 0])"
    return "not centred, zero frequency at [0, 0] (--centred if it is in the middle)"
