"""From a weights file to a network that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restorekit import models
from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.image import show_path
from restorekit.zoo.card import ModelCard
from restorekit.zoo.weights import load_weights


@dataclass(frozen=True)
class LoadedModel:
    """A network with its learned numbers, in eval mode, on the CPU, without gradients; and where it came from."""

    card: ModelCard
    network: models.AnyNetwork
    path: Path

    @property
    def patch_network(self) -> models.PatchNetwork:
        """The network, if it restores patches. Raises ModelMismatchError for one that reconstructs from recordings."""
        if isinstance(self.network, models.ReconstructionNetwork):
            raise ModelMismatchError(f"{self.card.name} is a model to {self.card.task}, and restores nothing else")
        return self.network


def load_model(path: Path) -> LoadedModel:
    """Build the network that a weights file describes and give it the file's numbers.

    Raises:
        WeightsError: see `load_weights`; or the file's tensors are not those of the network on its card.
    """
    card, tensors = load_weights(path)
    try:
        # On the meta device nothing is allocated, whatever sizes a foreign card asks for.
        with torch.device("meta"):
            outline = _build(card)
        _check_fit(tensors, outline.state_dict())
        if outline.channels != card.channels:
            raise WeightsError(f"the model card says {card.channels} channels, its settings {outline.channels}")
        network = _build(card)
    except WeightsError as error:
        raise WeightsError(f"{show_path(path)}: {error}") from error
    network.load_state_dict(tensors, strict=True)
    return LoadedModel(card, network.eval().requires_grad_(False), path)


def _build(card: ModelCard) -> models.AnyNetwork:
    try:
        return models.build(card.architecture, card.settings)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise WeightsError("the settings on the model card describe a network of impossible size") from error


def _check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless names and shapes are those expected."""
    needed = ", ".join(expected)
    for name in expected:
        if name not in tensors:
            raise WeightsError(f"tensor {name!r} is missing; the network needs {needed}")
    for name in sorted(tensors):
        if name not in expected:
            raise WeightsError(f"tensor {name!r} is not part of the network; it needs {needed}")
    for name, wanted in expected.items():
        if tensors[name].shape != wanted.shape:
            shapes = f"{list(tensors[name].shape)}; the network on the model card needs {list(wanted.shape)}"
            raise WeightsError(f"tensor {name!r} has shape {shapes}")
