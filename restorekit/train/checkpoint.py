"""Checkpoints: the exact state of a run, as one safetensors file whose header carries the scalars as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from restorekit.errors import TrainingError
from restorekit.image import write_file

FORMAT = "restorekit-checkpoint-2"


@dataclass(frozen=True)
class Progress:
    """The scalars of a run.

    step: optimiser steps taken. rate_scale: product of all backtracking slow-downs. seconds: time spent so far.
    probe_psnr: training PSNR when the last good snapshot was taken. best_psnr: of the averaged weights on the
    validation split, at `best_step`. processes: that share the run.
    """

    recipe_sha256: str
    step: int = 0
    rate_scale: float = 1.0
    seconds: float = 0.0
    probe_psnr: float = float("-inf")
    best_psnr: float = float("-inf")
    best_step: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Checkpoint:
    """A run at one moment: scalars and the named groups of tensors that continue it bit by bit.

    network, average, best: the weights, their running average, and the best average so far. optimiser: its state,
    "weight/entry". snapshot: weights at the last good check. Random numbers follow from the step.
    """

    progress: Progress
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    snapshot: dict[str, Tensor]


GROUPS = ("network", "average", "best", "optimiser", "snapshot")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write atomically: a kill leaves the old checkpoint or the new one, never half of either."""
    tensors: dict[str, Tensor] = {}
    for group in GROUPS:
        members: dict[str, Tensor] = getattr(checkpoint, group)
        tensors |= {f"{group}/{name}": tensor.detach().cpu().contiguous() for name, tensor in members.items()}
    scalars = json.dumps(asdict(checkpoint.progress))
    # The same storage may appear under two names (best is average); safetensors wants each on its own.
    separate = {name: tensor.clone() for name, tensor in tensors.items()}
    write_file(path, save(separate, metadata={"format": FORMAT, "progress": scalars}), overwrite=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint back.

    Raises:
        TrainingError: the file is missing, damaged, or not a checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is no mapping
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"checkpoint {path} cannot be read: {error}") from error
    if header.get("format") != FORMAT:
        raise TrainingError(f"{path} is not a checkpoint of this version (its format is not {FORMAT})")
    scalars = json.loads(header["progress"])
    progress = Progress(**{entry.name: scalars[entry.name] for entry in fields(Progress)})
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in GROUPS}
    for name, tensor in tensors.items():
        group, _, member = name.partition("/")
        groups[group][member] = tensor
    return Checkpoint(
        progress=progress,
        network=groups["network"],
        average=groups["average"],
        best=groups["best"],
        optimiser=groups["optimiser"],
        snapshot=groups["snapshot"],
    )
