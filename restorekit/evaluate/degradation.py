"""What an evaluation is made of: a degradation, and methods that undo it.

A task is a `Degradation`: how a clean image becomes the observed one, at each of its levels. What is compared are
`Method`s, from the observed image to an estimate of the clean one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from restorekit.evaluate.result import Level
from restorekit.image import Picture

Image = npt.NDArray[np.float32]

_L = TypeVar("_L", bound=Hashable)
_Told = TypeVar("_Told", bound=Hashable, contravariant=True)


class Method(Protocol[_Told]):
    """A method to measure: it is told the level of the degradation."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    def __call__(self, observed: Image, level: _Told, /) -> npt.NDArray[Any]:
        """The observed image and the level it was made with -> an estimate of the shape of the clean image."""
        ...


class Degradation(Protocol[_L]):
    """How clean images are made worse, at several levels: a noise level, a quality factor, a pattern of filters."""

    @property
    def task(self) -> str:
        """What undoes it, one of `zoo.card.TASKS`."""
        ...

    @property
    def axis(self) -> str:
        """What a level is called in JSON: `sigma`, `quality_factor`, `pattern`."""
        ...

    @property
    def protocol(self) -> str:
        """What is done to the images and what is measured, in sentences, for whoever compares the figures."""
        ...

    @property
    def levels(self) -> tuple[_L, ...]:
        """The levels to measure at, all different."""
        ...

    @property
    def untouched(self) -> Method[_L] | None:
        """The method that does nothing, to show what was observed; None if that has not the shape of a clean image."""
        ...

    def prepare(self, picture: Picture) -> Image:
        """The clean image [H, W] or [H, W, 3], values in [0, 1], that estimates are compared with: its luma, say.

        Raises:
            UnsupportedImageError: a picture that is of no use, such as a grey one to demosaic; it is left out by name.
        """
        ...

    def observe(self, clean: Image, level: _L, seed: int) -> Image:
        """What is observed of the clean image, which stays as it is; of any shape, such as a mosaic's [H, W].

        What is drawn at random must depend on `seed` alone, which is another for each image, the same at each level.
        """
        ...

    def describe(self, level: _L) -> Level:
        """The level as users know it, in JSON and in words."""
        ...
