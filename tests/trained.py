"""Tiny models that were, as it were, trained to deblur and to enlarge, and an image for them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restorekit.models import UnrolledADMM, build, settings_json
from restorekit.zoo import LoadedModel
from tests.cards import bare_card
from tests.tiny import tiny_enlarger, tiny_network


def trained_solver(task: str, mode: str = "explicit", dual: bool = False) -> LoadedModel:
    """Return an unrolled ADMM around a tiny grey denoiser."""
    architecture, denoiser = settings_json(tiny_network())
    network = build(
        "unrolled-admm",
        {
            "mode": mode,
            "iterations": 3,
            "knots": [0.01, 0.05],
            "dual": dual,
            "first": 0.1,
            "last": 0.0 if dual else 1.5,
            "weight": 0.3,
            "denoiser": {"architecture": architecture, "settings": denoiser},
        },
    )
    assert isinstance(network, UnrolledADMM)
    assert network.load_compatible_weights(tiny_network())
    conditioning_range = (0.0, 12.0) if task == "deblur" else (2.0, 4.0)
    card = bare_card(f"{task}-tiny", task, 1, conditioning_range)
    return LoadedModel(card, network.eval().requires_grad_(False), Path("tiny"))


def trained_enlarger(channels: int = 1) -> LoadedModel:
    """Return a tiny network that enlarges in one step."""
    return LoadedModel(bare_card("enlarger", "superres", channels, (2.0, 4.0)), tiny_enlarger(channels), Path("tiny"))


def waves(contrast: float = 0.2) -> NDArray[np.float32]:
    """Return a smooth image [30, 34]."""
    rows, cols = np.meshgrid(np.arange(30), np.arange(34), indexing="ij")
    return (0.5 + contrast * np.sin(rows / 3) * np.cos(cols / 4)).astype(np.float32)
