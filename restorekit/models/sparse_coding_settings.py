"""What fixes the shapes of a sparse-coding network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from restorekit.errors import WeightsError
from restorekit.models.settings import SettingsReader

PRIORS = ("sparse", "group", "centralised")


@dataclass(frozen=True)
class SparseCodingSettings:
    """What fixes the shapes of a `SparseCoding` network.

    channels: 1 grey, 3 RGB. patch_size: the p of p x p patches. atoms: columns of the dictionary. steps: K.
    knots: levels in [0, 1] at which whatever depends on the level is stored. scales: how many halvings of the image
    help to find the mean of a patch, plus one; 1 is the paper's model.
    prior: "sparse" (SC), "group" (GroupSC) or "centralised" (CSR). refresh: the steps before which the estimates are
    averaged and similarities and targets renewed. peers: how many similar patches count. feedback: whether targets
    and means learn from the renewed estimate (variance reduction). gains: whether C and W have a gain for every atom
    and level. masked: whether some values of an image may be interpolated, as in a mosaic.
    """

    channels: int
    patch_size: int
    atoms: int
    steps: int
    knots: tuple[float, ...]
    scales: int = 1
    prior: str = "sparse"
    refresh: tuple[int, ...] = ()
    peers: int = 0
    feedback: bool = False
    gains: bool = False
    masked: bool = False

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> SparseCodingSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "sparse-coding")
        made = cls(
            channels=given.count("channels"),
            patch_size=given.count("patch_size"),
            atoms=given.count("atoms"),
            steps=given.count("steps"),
            knots=given.levels("knots"),
            scales=given.count("scales", 1),
            prior=given.choice("prior", PRIORS),
            refresh=given.steps("refresh"),
            peers=given.count("peers", 0),
            feedback=given.switch("feedback"),
            gains=given.switch("gains"),
            masked=given.switch("masked"),
        )
        if made.refresh and made.refresh[-1] >= made.steps:
            raise WeightsError(f"setting refresh of a sparse-coding model must name steps below {made.steps}")
        if made.prior != "sparse" and not (made.refresh and made.peers):
            raise WeightsError(
                f"a sparse-coding model with the {made.prior} prior needs the settings refresh and peers"
            )
        return made
