"""Four ways to differentiate the unrolled ADMM, trained from the same start on the same data for as many minutes.

    python -m tests.benchmarks.modes deblur-color-equilibrium --data DIR --out RUNS [--minutes 8] [--mode NAME ...]

Prints a Markdown table, by mode: PSNR in dB on the images that are kept from the training data and the iterations an
image took there, as `restorekit deblur` runs the model at `--quality fast`; steps, seconds a step, and the memory that
a step keeps for its gradient. RUNS holds a folder for each mode, and the rows so far as results.json.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import torch

import restorekit
from restorekit.inference.plug_and_play import Trajectory
from restorekit.inference.runner import as_pixels
from restorekit.models import UnrolledADMM
from restorekit.physics.blur import CircularBlur, gaussian_kernel
from restorekit.tasks.base import Run
from restorekit.tasks.deblur import Deblur, Deblurring
from restorekit.train import Recipe, load_recipe
from restorekit.train.data import centre_crop, load_split, random_crops
from restorekit.types import Boundary, Quality, RunSettings
from tests.benchmarks.runs import print_rows, shortened, train, write_rows

ITERATIONS: Mapping[str, int] = {"explicit": 6, "deq": 50, "jfb": 50, "suppa": 50}
"""How many steps each mode takes, at most."""
VALIDATION_SIGMA = 2.0
"""Of the Gaussian that training validates with, in pixels."""
TRIAL_STEPS = 6
MEASURED_CROP = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--mode", action="append", choices=list(ITERATIONS), help="default: all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(arguments.recipe)
    rows: list[Mapping[str, object]] = []
    for mode in arguments.mode or ITERATIONS:
        rows.append(compare(recipe, mode, arguments.data, arguments.out, arguments.minutes))
        write_rows(arguments.out / "results.json", rows)
    print_rows(rows)


def compare(recipe: Recipe, mode: str, data: Path, out: Path, minutes: float) -> Mapping[str, object]:
    """Train one mode for as many steps as fit into the minutes, by a short trial, and measure it."""
    variant = variant_of(recipe, mode)
    trial = shortened(variant, TRIAL_STEPS)
    folder = out / f"{mode}-trial"
    shutil.rmtree(folder, ignore_errors=True)
    # Compiling would take more of the minutes than it saves. The time of a check at the very end is not counted.
    with torch.compiler.set_stance("force_eager"):
        trial = replace(trial, safety=replace(trial.safety, check_every=TRIAL_STEPS))
        seconds = train(trial, data, folder).seconds_per_step
        outcome = train(shortened(variant, max(1, round(60 * minutes / seconds))), data, out / mode)
    return {
        "mode": mode,
        **measure(variant, outcome.weights, data),
        "steps": outcome.steps,
        "s / step": outcome.seconds_per_step,
        "MiB": kept_memory(variant, outcome.weights, data) / 2**20,
    }


def variant_of(recipe: Recipe, mode: str) -> Recipe:
    """The recipe with a mode and its number of iterations."""
    settings = {**recipe.settings, "mode": mode, "iterations": ITERATIONS[mode]}
    return replace(recipe, settings=MappingProxyType(settings))


def measure(recipe: Recipe, weights: Path, data: Path) -> Mapping[str, object]:
    """Mean PSNR in dB and mean number of iterations over the images kept for validation, circularly blurred."""
    model = restorekit.load(str(weights))
    split = load_split(data, model.card.channels, recipe.data.crop, recipe.data.validation_every)
    kernel, models = gaussian_kernel(VALIDATION_SIGMA), Deblur().select(None, model)
    noise = recipe.degradation.validation[0] / 255
    scores, iterations = [], []
    for seed, image in enumerate(split.validation):
        clean = centre_crop(image, MEASURED_CROP)
        observed = as_pixels(CircularBlur(kernel).observe(clean, noise, seed), 3)
        watch = Trajectory(as_pixels(clean, 3))
        run = Run(models, RunSettings(Quality.FAST, "cpu"), watch=watch)
        Deblurring(kernel, noise, model, run, Boundary.CIRCULAR)(observed)
        scores.append(watch.psnrs[-1])
        iterations.append(len(watch.psnrs))
    return {"PSNR": fmean(scores), "iterations": fmean(iterations)}


def kept_memory(recipe: Recipe, weights: Path, data: Path) -> int:
    """Bytes that the gradient of one training step holds on to, each once."""
    network = restorekit.load(str(weights)).network
    assert isinstance(network, UnrolledADMM)
    network.requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    images = load_split(data, network.channels, recipe.data.crop, recipe.data.validation_every).training
    clean = random_crops(images, recipe.data.crop, recipe.data.batch, generator)
    measurement = recipe.degradation.draw(clean, generator)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.fitted(measurement, recipe.data.strides[0], generator)
    return sum(kept.values())


if __name__ == "__main__":
    main()
