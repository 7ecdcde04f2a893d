"""What each part of a non-local model brings: variants of a recipe, trained for as many steps from the same start.

    python -m tests.benchmarks.ablation denoise-gray-groupsc --data DIR --steps 600 --out RUNS

Prints the validation PSNR of each variant (images kept from the training data) and the seconds a step takes. The runs
are kept in RUNS, a folder each, and those that are finished there are not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch
from rich.console import Console
from rich.table import Table

from restorekit.train import Recipe, load_recipe, run
from restorekit.train.checkpoint import load_checkpoint
from restorekit.train.loop import CHECKPOINT

LOCAL: Mapping[str, object] = {"prior": "sparse", "refresh": [], "peers": 0, "feedback": False, "gains": False}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "SC": LOCAL,
    "SC, gains": {**LOCAL, "gains": True},
    "SC + Var": {"prior": "sparse", "peers": 0, "gains": False},
    "CSR": {"prior": "centralised", "feedback": False, "gains": False},
    "GroupSC": {"feedback": False, "gains": False},
    "GroupSC, no update": {"refresh": [3], "feedback": False, "gains": False},
    "GroupSC + Var": {"gains": False},
    "GroupSC + Var, gains": {},
}
"""Settings by which a variant differs from the recipe."""


def variant_of(recipe: Recipe, name: str, steps: int) -> Recipe:
    """The recipe with the settings of a variant, shortened to `steps`."""
    settings = MappingProxyType({**recipe.settings, **VARIANTS[name]})
    optimiser = replace(recipe.optimiser, steps=steps, warmup=min(recipe.optimiser.warmup, steps // 10))
    safety = replace(recipe.safety, check_every=steps)
    return replace(recipe, settings=settings, optimiser=optimiser, safety=safety)


def main() -> None:
    """Train the variants one after the other and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="default: all")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    levels = recipe.degradation.validation
    table = Table(title=f"{options.recipe}, {options.steps} steps from {recipe.warm_start}")
    for heading in ("variant", "parameters", *(f"{level:g}" for level in levels), "s/step"):
        table.add_column(heading, justify="left" if heading == "variant" else "right")
    for name in options.variant or VARIANTS:
        folder = options.out / name.replace(" ", "").replace(",", "-")
        result = run(variant_of(recipe, name, options.steps), options.data, options.out / folder.name, resume=True)
        checkpoint = load_checkpoint(folder / CHECKPOINT)
        psnrs = _last_validation(folder)
        parameters = sum(tensor.numel() for tensor in checkpoint.network.values())
        seconds = checkpoint.progress.seconds / result.step
        table.add_row(name, f"{parameters:,}", *(f"{psnr:.3f}" for psnr in psnrs), f"{seconds:.2f}")
    Console().print(table)


def _last_validation(folder: Path) -> list[float]:
    last = json.loads((folder / "log.jsonl").read_text("utf-8").splitlines()[-1])
    return [float(psnr) for psnr in last["validation"].values()]


if __name__ == "__main__":
    main()
