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
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch

from restorekit.tasks.denoise import NoiseSection
from restorekit.train import Recipe, load_recipe
from tests.benchmarks.conditions import SPARSE_CODING
from tests.benchmarks.runs import print_rows, shortened, train, write_rows


@dataclass(frozen=True)
class Variant:
    """Settings by which a variant differs from the recipe, and the one noise level it learns, where it is for one."""

    settings: Mapping[str, object]
    sigma: float | None = None


PLAIN: Mapping[str, object] = {"feedback": False, "gains": False}

VARIANTS: Mapping[str, Variant] = {
    "SC": Variant({**PLAIN, "prior": "sparse", "refresh": [], "neighbours": 0}),
    "GroupSC, no update": Variant({**PLAIN, "refresh": [3]}),
    "GroupSC": Variant(PLAIN),
    "CSR": Variant({**PLAIN, "prior": "centralised"}),
    "GroupSC + Var": Variant({"gains": False}),
    "GroupSC + Var, gains": Variant({}),
    "GroupSC + Var, one knot": Variant({"gains": False, "knots": [25 / 255]}),
    **{f"GroupSC + Var, sigma {sigma} alone": Variant({"gains": False}, sigma) for sigma in (5, 15, 25, 50)},
    "SC + Var": Variant({"prior": "sparse", "neighbours": 0, "gains": False}),
    "SC, gains": Variant({"prior": "sparse", "refresh": [], "neighbours": 0, "feedback": False}),
}
"""Without update, similar patches are compared once; with one knot thresholds are in proportion to sigma, and all else
is the same at each.
"""


def variant_of(recipe: Recipe, name: str, steps: int) -> Recipe:
    """The recipe with the settings of a variant, over `steps` steps from sparse coding alone."""
    variant = VARIANTS[name]
    settings = {**recipe.settings, **variant.settings}
    start = SPARSE_CODING[1 if settings["channels"] == 1 else 3]
    noise = recipe.degradation
    if variant.sigma is not None and isinstance(noise, NoiseSection):
        noise = replace(noise, low=variant.sigma, high=variant.sigma, validation=(variant.sigma,))
    changed = replace(recipe, settings=MappingProxyType(settings), warm_start=start, degradation=noise)
    return shortened(changed, steps)


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
