"""Checkpoints: the exact state of a run, as one safetensors file whose header carries the scalars as JSON."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from restorekit.errors import TrainingError
from restorekit.image import write_file
from restorekit.pages.figures import check_plots

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


LOG = "log.jsonl"


@dataclass(frozen=True)
class Check:
    """The state of a run at a check. PSNRs in dB, `rate` the learning-rate factor, `validation` by level."""

    step: int
    seconds: float
    rate: float
    loss_psnr: float
    probe_psnr: float
    validation_psnr: float
    validation: dict[str, float]
    event: str = ""


class RunningMean:
    """The mean of what steps say, which stays where they computed it: to read it is to wait for a GPU."""

    SECONDS = 0.5

    def __init__(self) -> None:
        self.sum: Tensor | float = 0.0
        self.count = 0
        self.read, self.read_at = 0.0, float("-inf")

    def add(self, value: Tensor) -> None:
        """Count one more."""
        self.sum = self.sum + value
        self.count += 1

    def value(self) -> float:
        """The mean; 0 while there is nothing."""
        if self.count:
            self.read, self.read_at = float(self.sum) / self.count, time.monotonic()
        return self.read

    def recent(self) -> float:
        """The mean, at most half a second old."""
        return self.read if time.monotonic() < self.read_at + self.SECONDS else self.value()


def append_check(folder: Path, check: Check) -> None:
    """Add one line to the log."""
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(check)) + "\n")


def truncate_log(folder: Path, step: int) -> None:
    """Drop the lines after `step`: a run resumed from an older checkpoint writes them again."""
    path = folder / LOG
    if path.exists():
        kept = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")


def read_log(folder: Path) -> list[Check]:
    """All checks of a run, oldest first."""
    path = folder / LOG
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [Check(**json.loads(line)) for line in lines]


def draw_curves(folder: Path, title: str) -> None:
    """Draw curves.png: validation PSNR by level, and the learning rate, over the steps."""
    check_plots()
    from matplotlib.figure import Figure

    checks = read_log(folder)
    if not checks:
        return
    steps = [check.step for check in checks]
    figure = Figure(figsize=(8, 5), layout="constrained")
    psnr, rate = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    for level in checks[-1].validation:
        values = [check.validation.get(level, float("nan")) for check in checks]
        first = checks[0].validation.get(level, values[-1])
        psnr.plot(steps, [value - values[-1] for value in values], label=f"{level}: {first:.2f} to {values[-1]:.2f} dB")
    psnr.set_ylim(-1.0, 0.1)
    psnr.set_ylabel("validation PSNR, dB below the last")
    psnr.legend(loc="lower right")
    psnr.grid(alpha=0.3)
    psnr.set_title(title)
    rate.plot(steps, [check.rate for check in checks], color="tab:gray")
    rate.set_ylabel("rate")
    rate.set_xlabel("step")
    rate.grid(alpha=0.3)
    figure.savefig(folder / "curves.png", dpi=120)
