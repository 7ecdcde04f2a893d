"""Keeping crops of the most detailed images of a set."""

from __future__ import annotations

from restorekit.display.detail import Window
from restorekit.evaluate.result import Crop


class CropKeeper:
    """Keeps the crops of the `capacity` most detailed images among those offered, and no others."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: list[tuple[float, Crop]] = []

    def wants(self, window: Window) -> bool:
        """Whether a crop with this window would be kept; asked before its panels are gathered."""
        return len(self._kept) < self._capacity or (self._capacity > 0 and window.detail > self._kept[-1][0])

    def add(self, window: Window, crop: Crop) -> None:
        """Keep a crop, and give up the least detailed one if there are now too many."""
        self._kept.append((window.detail, crop))
        self._kept.sort(key=lambda kept: -kept[0])
        del self._kept[self._capacity :]

    @property
    def crops(self) -> tuple[Crop, ...]:
        """The most detailed first."""
        return tuple(crop for _, crop in self._kept)
