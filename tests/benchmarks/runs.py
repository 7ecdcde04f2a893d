"""Training runs that benchmarks compare: each in a folder of its own, so that one which was stopped goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import restorekit
from restorekit.image import write_file
from restorekit.train import Recipe, run
from restorekit.train.checkpoint import read_log

CHECKS = 4
"""How often a run is validated and can be gone on from."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run: its weights, the seconds a step took, and PSNRs in dB on the images kept for validation."""

    weights: Path
    parameters: int
    steps: int
    seconds_per_step: float
    validation: Mapping[str, float]


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """The recipe over so many steps; its hash tells it from any other variant of the same file."""
    optimiser = replace(recipe.optimiser, steps=steps, warmup=min(recipe.optimiser.warmup, steps // 10))
    safety = replace(recipe.safety, check_every=max(1, steps // CHECKS))
    variant = replace(recipe, optimiser=optimiser, safety=safety)
    return replace(variant, sha256=hashlib.sha256(repr(variant).encode()).hexdigest())


def train(recipe: Recipe, data: Path, folder: Path) -> Outcome:
    """Run a recipe to its end, from where it was stopped before. Ctrl-C leaves the benchmark, with a checkpoint."""
    torch.compiler.reset()  # Compiled code is kept for a few networks only.
    result = run(recipe, data, folder, resume=True, device="cpu")
    if result.interrupted:
        raise SystemExit(130)
    last = read_log(folder)[-1]
    parameters = restorekit.load(str(result.weights)).card.parameters
    return Outcome(result.weights, parameters, last.step, last.seconds / last.step, last.validation)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Keep the rows of a table as JSON: after every run, so that a stop loses none."""
    write_file(path, (json.dumps(rows, indent=2) + "\n").encode(), overwrite=True)


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """A Markdown table of rows with the same columns; PSNRs, nested by condition, a column each."""
    flat = [_flattened(row) for row in rows]
    print(f"| {' | '.join(flat[0])} |")
    print("|---" * len(flat[0]) + "|")
    for row in flat:
        print(f"| {' | '.join(row.values())} |")


def _flattened(row: Mapping[str, object]) -> dict[str, str]:
    cells = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            cells |= {f"{name} {condition}": f"{psnr:.3f}" for condition, psnr in value.items()}
        else:
            cells[name] = f"{value:.3f}" if isinstance(value, float) else f"{value}"
    return cells
