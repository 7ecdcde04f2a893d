"""The files of a run: checkpoint, log, curves, and the weights it exports."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from restorekit import zoo
from restorekit._version import __version__
from restorekit.errors import TrainingError
from restorekit.image import write_file
from restorekit.models import build, settings_json
from restorekit.train.recipe import Recipe

FORMAT = "restorekit-checkpoint-2"
CHECKPOINT, LOG, CURVES = "checkpoint.safetensors", "log.jsonl", "curves.png"
GROUPS = ("network", "average", "best", "optimiser", "snapshot")


@dataclass
class TrainingState:
    """The scalars of a run, which change with its steps.

    step: optimiser steps taken. rate_scale: product of all backtracking slow-downs. seconds: time spent so far.
    probe_psnr: training PSNR when the last good snapshot was taken. best_psnr: of the averaged weights on the
    validation split, at `best_step`. processes: how many share the run.
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
    """A run at one moment: scalars and named tensors that continue it bit by bit. Random numbers follow from the step.

    network, average, best: the weights, their running average, and the best average so far. optimiser: its state,
    "weight/entry". snapshot: weights at the last good check.
    """

    state: TrainingState
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    snapshot: Mapping[str, Tensor]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write it atomically: a kill leaves the old checkpoint or the new one, never half of either."""
    # The same storage may appear under two names (best is average); safetensors wants each on its own.
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group in GROUPS
        for name, tensor in getattr(checkpoint, group).items()
    }
    metadata = {"format": FORMAT, "progress": json.dumps(asdict(checkpoint.state))}
    write_file(folder / CHECKPOINT, save(tensors, metadata=metadata), overwrite=True)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint of a run. Raises TrainingError if it is missing, damaged, or of another version."""
    path = folder / CHECKPOINT
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is no mapping
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"checkpoint {path} cannot be read: {error}") from error
    if header.get("format") != FORMAT:
        raise TrainingError(f"{path} is not a checkpoint of this version (its format is not {FORMAT})")
    groups = {
        group: {name.removeprefix(f"{group}/"): tensors[name] for name in tensors if name.startswith(f"{group}/")}
        for group in GROUPS
    }
    return Checkpoint(TrainingState(**json.loads(header["progress"])), **groups)


def export_weights(path: Path, recipe: Recipe, tensors: Mapping[str, Tensor], steps: int) -> None:
    """Write the weights after `steps` steps with a card that names the recipe and has no figures yet."""
    network = build(recipe.architecture, recipe.settings)
    architecture, settings = settings_json(network)
    card = zoo.ModelCard(
        name=recipe.name,
        architecture=architecture,
        settings=settings,
        task=recipe.task,
        channels=network.channels,
        conditioning_range=recipe.degradation.conditioning_range,
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        description=recipe.description,
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        training_data=recipe.training_data,
        steps=steps,
        package_version=__version__,
        licence="BSD-3-Clause",
    )
    zoo.save_weights(path, dict(tensors), card)


@dataclass(frozen=True)
class Check:
    """One line of the log. PSNRs in dB; `rate`: the learning-rate factor; `validation`: PSNR by sigma, scale, ..."""

    step: int
    seconds: float
    rate: float
    loss_psnr: float
    probe_psnr: float
    validation_psnr: float
    validation: dict[str, float]
    event: str = ""


def append_check(folder: Path, check: Check) -> None:
    """Add one line to the log."""
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(check)) + "\n")


def truncate_log(folder: Path, step: int) -> None:
    """Drop the lines after `step`: a run resumed from an older checkpoint writes them again."""
    kept = [check for check in read_log(folder) if check.step <= step]
    (folder / LOG).write_text("".join(json.dumps(asdict(check)) + "\n" for check in kept), "utf-8")


def read_log(folder: Path) -> list[Check]:
    """Return all checks of a run, oldest first."""
    lines = (folder / LOG).read_text("utf-8").splitlines() if (folder / LOG).exists() else []
    return [Check(**json.loads(line)) for line in lines]


def draw_curves(folder: Path, title: str) -> None:
    """Draw curves.png: validation PSNR and the learning rate over the steps."""
    from matplotlib.figure import Figure

    checks, figure = read_log(folder), Figure(figsize=(8, 5), layout="constrained")
    steps = [check.step for check in checks]
    psnr, rate = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    for name in checks[-1].validation:
        values = [check.validation.get(name, float("nan")) for check in checks]
        first = checks[0].validation.get(name, values[-1])
        psnr.plot(steps, [value - values[-1] for value in values], label=f"{name}: {first:.2f} to {values[-1]:.2f} dB")
    psnr.set(ylim=(-1.0, 0.1), ylabel="validation PSNR, dB below the last", title=title)
    psnr.legend(loc="lower right")
    rate.plot(steps, [check.rate for check in checks], color="tab:gray")
    rate.set(ylabel="rate", xlabel="step")
    for axes in (psnr, rate):
        axes.grid(alpha=0.3)
    figure.savefig(folder / CURVES, dpi=120)
