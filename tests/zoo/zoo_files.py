"""A small model and its card, and weights files written without the package's own code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from restorekit.models import SparseCoding, SparseCodingSettings, settings_json
from restorekit.zoo import CardFigure, ModelCard, save_weights

SETTINGS = SparseCodingSettings(channels=1, patch_size=3, atoms=4, steps=2, knots=(0.0, 0.1), scales=1)


def network() -> SparseCoding:
    torch.manual_seed(0)
    model = SparseCoding(SETTINGS)
    model.initialise(torch.randn(9, 4))
    return model


def card(**changes: object) -> ModelCard:
    architecture, settings = settings_json(network())
    values: dict[str, object] = {
        "name": "tiny",
        "architecture": architecture,
        "settings": settings,
        "task": "denoise",
        "channels": 1,
        "conditioning_range": (0.0, 75.0),
        "parameters": 118,
        "description": "A tiny model for grey photographs, é included",
        "recipe": "denoise-gray-groupsc",
        "recipe_sha256": "0" * 64,
        "training_data": "none",
        "steps": 0,
        "package_version": "0.1.0",
        "licence": "BSD-3-Clause",
        "measured": (CardFigure("BSD68", 25.0, "best", 28.57, 0.81), CardFigure("BSD68", 8.5, "fast", 33.1)),
    }
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


def write_model(path: Path, its_card: ModelCard | None = None) -> Path:
    save_weights(path, network().state_dict(), its_card or card())
    return path


def forge(path: Path, tensors: Mapping[str, Tensor], card_json: str) -> Path:
    """Write a file with a correct checksum, whatever it holds, by the description of the format alone."""
    digest = hashlib.sha256(card_json.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode() + tensor.numpy().tobytes())
    metadata = {"restorekit.card": card_json, "restorekit.sha256": digest.hexdigest()}
    path.write_bytes(safetensors.torch.save(dict(tensors), metadata))
    return path
