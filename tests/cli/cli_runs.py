"""Pictures, tiny models, and what a run of the command line left."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restorekit.models import SparseCoding, SparseCodingSettings, build, settings_json
from restorekit.zoo import CardFigure, ModelCard, save_weights
from tests.tiny import tiny_enlarger

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a run of the command line left: its exit code and streams. `errors` are the error lines of `stderr`."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def errors(self):
        return [line for line in self.stderr.splitlines() if line.startswith("restorekit: error: ")]


def write_tiny_model(path, name="tiny", channels=1, *, masked=False, **changes):
    torch.manual_seed(0)
    settings = SparseCodingSettings(channels, patch_size=3, atoms=4, steps=1, knots=(0.0, 0.1), scales=1, masked=masked)
    network = SparseCoding(settings)
    network.initialise(torch.randn(9 * channels, 4))
    return _write_model(path, network, name, channels, **changes)


def write_tiny_solver(path, name, task, conditioning_range):
    """An unrolled ADMM around a tiny colour denoiser."""
    torch.manual_seed(0)
    settings = SparseCodingSettings(3, patch_size=3, atoms=4, steps=1, knots=(0.0, 0.1), scales=1)
    architecture, denoiser = settings_json(SparseCoding(settings))
    schedule = {"mode": "explicit", "iterations": 2, "knots": [0.01, 0.05], "first": 0.1, "last": 0.0, "weight": 0.3}
    inner = {"architecture": architecture, "settings": denoiser}
    network = build("unrolled-admm", {**schedule, "dual": True, "denoiser": inner})
    network.denoiser.initialise(torch.randn(27, 4))
    return _write_model(path, network, name, 3, task=task, conditioning_range=conditioning_range)


def write_tiny_enlarger(path, name, conditioning_range=(2.0, 4.0), blocks=2):
    """A tiny colour network that enlarges."""
    return _write_model(
        path, tiny_enlarger(blocks=blocks), name, 3, task="superres", conditioning_range=conditioning_range
    )


def _write_model(path, network, name, channels, **changes):
    architecture, settings = settings_json(network)
    values = {
        "name": name,
        "architecture": architecture,
        "settings": settings,
        "task": "denoise",
        "channels": channels,
        "conditioning_range": (0.0, 75.0),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "description": "A tiny model",
        "recipe": "tiny",
        "recipe_sha256": "0" * 64,
        "training_data": "none",
        "steps": 0,
        "package_version": "0.1.0",
        "licence": "BSD-3-Clause",
        "measured": (CardFigure("BSD68", 25.0, "best", 28.57, 0.81), CardFigure("BSD68", 50.0, "best", 25.6)),
    }
    save_weights(path, network.state_dict(), ModelCard(**{**values, **changes}))
    return path


def finish(process, stdin=None):
    stdout, stderr = process.communicate(stdin, timeout=60)
    return Result(process.returncode, stdout, (stderr or b"").decode())


def write_image(name, shape=(12, 14), dtype=np.uint8, seed=0, **options):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    Image.fromarray(pixels).save(path, **options)
    return path
