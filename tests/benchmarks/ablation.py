"""What each part of a non-local model brings: variants of a recipe, trained for as many steps from the same start.

    python -m tests.benchmarks.ablation denoise-gray-groupsc --data DIR --out RUNS [--steps 600] [--threads 1]
                                        [--variant NAME ...]

All begin from the zoo's model of sparse coding alone. Prints a Markdown table, by variant: PSNR in dB on the images
that are kept from the training data, and seconds a step. RUNS holds a folder for each variant, and the rows so far as
results.json; started again, the benchmark goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch

from restorekit.train import Recipe, load_recipe
from tests.benchmarks.conditions import SPARSE_CODING
from tests.benchmarks.runs import print_rows, shortened, train, write_rows

PLAIN: Mapping[str, object] = {"feedback": False, "gains": False}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "SC": {**PLAIN, "prior": "sparse", "refresh": [], "peers": 0},
    "GroupSC, no update": {**PLAIN, "refresh": [3]},
    "GroupSC": PLAIN,
    "CSR": {**PLAIN, "prior": "centralised"},
    "GroupSC + Var": {"gains": False},
    "GroupSC + Var, gains": {},
    "SC + Var": {"prior": "sparse", "peers": 0, "gains": False},
    "SC, gains": {"prior": "sparse", "refresh": [], "peers": 0, "feedback": False},
}
"""Settings by which a variant differs from the recipe. Without update, similar patches are compared once."""


def variant_of(recipe: Recipe, name: str, steps: int) -> Recipe:
    """The recipe with the settings of a variant, over `steps` steps from sparse coding alone."""
    settings = {**recipe.settings, **VARIANTS[name]}
    start = SPARSE_CODING[1 if settings["channels"] == 1 else 3]
    return shortened(replace(recipe, settings=MappingProxyType(settings), warm_start=start), steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe)
    rows: list[Mapping[str, object]] = []
    for name in arguments.variant or VARIANTS:
        folder = arguments.out / name.replace(" ", "").replace(",", "-")
        outcome = train(variant_of(recipe, name, arguments.steps), arguments.data, folder)
        rows.append(
            {
                "variant": name,
                "parameters": outcome.parameters,
                "steps": outcome.steps,
                "seconds a step": outcome.seconds_per_step,
                "PSNR at": outcome.validation,
            }
        )
        write_rows(arguments.out / "results.json", rows)
    print_rows(rows)


if __name__ == "__main__":
    main()
