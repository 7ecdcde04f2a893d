"""PSNR against the number of training images: grey denoisers at one noise level, from the dictionary on.

    python -m tests.benchmarks.few_images --data DIR --out RUNS [--images 50 --images 100 ...] [--sigma 15]
                                          [--steps 3000] [--nonlocal-steps 600] [--test FOLDER] [--threads 1]

For each number of images sparse coding learns its dictionary and its weights from these images alone, and the non-local
model goes on from it. All see the same validation images, every 16th of DIR, and take as many steps. Prints a Markdown
table of PSNRs in dB, those of the images in FOLDER (--quality balanced) among them. RUNS holds a folder for each model,
and the rows so far as results.json; started again, the benchmark goes on where it was stopped.

The experiment of Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 6.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

import restorekit
from restorekit.evaluate import CropSettings, evaluate_methods
from restorekit.train import Recipe, load_recipe
from tests.benchmarks.conditions import Ours, folder_of, images_in, noise_of
from tests.benchmarks.runs import Outcome, print_rows, shortened, train, write_rows

VALIDATION_EVERY = 16
RECIPES = ("denoise-gray-sc", "denoise-gray-groupsc")
"""The second begins from the first."""


def chosen(images: list[Path], count: int) -> tuple[list[Path], int]:
    """All images for validation and `count` others, evenly spaced; every so many-th is one for validation."""
    validation = images[::VALIDATION_EVERY]
    others = [image for index, image in enumerate(images) if index % VALIDATION_EVERY]
    share, rest = divmod(count, len(validation))
    if rest or not 0 < count <= len(others):
        raise SystemExit(f"{count} images: take a multiple of {len(validation)} up to {len(others)}")
    training = [others[index * len(others) // count] for index in range(count)]
    order = []
    for index, image in enumerate(validation):
        order += [image, *training[index * share : (index + 1) * share]]
    return order, share + 1


def at_one_sigma(recipe: Recipe, sigma: float, validation_every: int, warm_start: str) -> Recipe:
    """The recipe for noise of one sigma, on another split of the data and from another start."""
    data = replace(recipe.data, validation_every=validation_every)
    noise = replace(recipe.degradation, low=sigma, high=sigma, validation=(sigma,))
    return replace(recipe, data=data, degradation=noise, warm_start=warm_start)


def mean_psnr(weights: Path, folder: Path, sigma: float) -> float:
    """Mean PSNR over the images of a folder."""
    noise = noise_of(sigma)
    method = Ours(noise, restorekit.load(str(weights)))
    return evaluate_methods(folder, noise, {method.name: method}, crops=CropSettings(0)).results[0].psnr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, action="append", help="default: 50, 100, 200, 375")
    parser.add_argument("--sigma", type=float, default=15)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--nonlocal-steps", type=int, default=600)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    images = images_in(arguments.data)
    rows: list[Mapping[str, object]] = []
    for count in arguments.images or (50, 100, 200, 375):
        order, validation_every = chosen(images, count)
        start = ""
        with folder_of(order, arguments.data.resolve().name) as folder:
            for name, steps in zip(RECIPES, (arguments.steps, arguments.nonlocal_steps), strict=True):
                recipe = at_one_sigma(load_recipe(name), arguments.sigma, validation_every, start)
                outcome = train(shortened(recipe, steps), folder, arguments.out / f"{count}-{name}")
                start = str(outcome.weights)
                rows.append({"images": count, "model": name, **_figures(outcome, arguments.test, arguments.sigma)})
                write_rows(arguments.out / "results.json", rows)
    print_rows(rows)


def _figures(outcome: Outcome, test: Path | None, sigma: float) -> Mapping[str, object]:
    figures: dict[str, object] = {
        "steps": outcome.steps,
        "seconds a step": outcome.seconds_per_step,
        "validation at": outcome.validation,
    }
    if test is not None:
        figures[test.name] = mean_psnr(outcome.weights, test, sigma)
    return figures


if __name__ == "__main__":
    main()
