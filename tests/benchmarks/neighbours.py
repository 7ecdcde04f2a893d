"""PSNR and seconds of a non-local model against its number of neighbours, search window and frequency of refreshes.

    python -m tests.benchmarks.neighbours --model NAME --data FOLDER [--sigma 25] [--every 1] [--quality best]
                                          [--threads 2]

One is changed at a time and nothing is trained anew. Where patches are compared at other steps than in training, the
learned numbers of the nearest refresh in training serve. An image is restored in one piece: no tile narrows a window.
Prints a Markdown table, the model as it was trained first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

import restorekit
from restorekit.evaluate import CropSettings, evaluate_methods
from restorekit.evaluate.results import MethodResult
from restorekit.inference.runner import restore_array
from restorekit.models.sparse_coding import SparseCoding
from restorekit.priors import neighbours as similarity
from restorekit.types import Quality, RunSettings
from tests.benchmarks.conditions import Image, every_nth_image, limit_threads, noise_of

NEIGHBOURS = (8, 16, 24, 32)
MARGINS = (6, 8, 16, 24)
"""Pixels around a block of patches in which neighbours are looked for: the least around a patch of the block."""
INTERVALS = (1, 2, 3, 4, 6, 12)
"""Steps from one refresh to the next; the first comes when it came in training."""


@dataclass(frozen=True)
class Variant:
    """A method to denoise: a network whose neighbours are looked for up to `margin` pixels around a block."""

    name: str
    network: SparseCoding
    margin: int
    quality: Quality

    def __call__(self, noisy: Image, sigma: float) -> Image:
        whole = RunSettings(self.quality, "cpu", tile=max(noisy.shape))
        with patch.object(similarity, "MARGIN", self.margin):
            return restore_array(noisy, sigma, self.network, whole)[0]

    @property
    def columns(self) -> str:
        """The cells of the table that tell variants apart."""
        settings = self.network.settings
        window = 2 * self.margin + 1
        return f"{settings.neighbours} | {window}x{window} | {', '.join(map(str, settings.refresh))}"


def variants(network: SparseCoding, quality: Quality) -> Iterator[Variant]:
    """The network as it was trained, then with one thing changed."""
    settings = network.settings
    yield Variant("as trained", network, similarity.MARGIN, quality)
    for count in NEIGHBOURS:
        if count != settings.neighbours:
            yield Variant(f"neighbours: {count}", with_neighbours(network, count), similarity.MARGIN, quality)
    for margin in MARGINS:
        if margin != similarity.MARGIN:
            yield Variant(f"margin: {margin}", network, margin, quality)
    known = {settings.refresh}
    for interval in INTERVALS:
        refresh = tuple(range(settings.refresh[0], settings.steps, interval))
        if refresh not in known:
            known.add(refresh)
            yield Variant(f"refreshes: {len(refresh)}", with_refresh(network, refresh), similarity.MARGIN, quality)


def with_neighbours(network: SparseCoding, count: int) -> SparseCoding:
    """The network with another number of similar patches."""
    changed = deepcopy(network)
    changed.settings = replace(network.settings, neighbours=count)
    assert changed.similar is not None
    changed.similar.count = count
    return changed


def with_refresh(network: SparseCoding, refresh: tuple[int, ...]) -> SparseCoding:
    """The network refreshed before other steps, each with the learned numbers of the nearest step in training."""
    trained = torch.tensor(network.settings.refresh)
    nearest = (torch.tensor(refresh)[:, None] - trained).abs().argmin(1)
    changed = deepcopy(network)
    changed.settings = replace(network.settings, refresh=refresh)
    assert changed.similar is not None
    changed.similar.nu = nn.Parameter(changed.similar.nu[nearest], requires_grad=False)
    if network.settings.feedback:
        changed.target_feedback = nn.Parameter(changed.target_feedback[:, nearest], requires_grad=False)
        changed.mean_feedback = nn.Parameter(changed.mean_feedback[:, nearest], requires_grad=False)
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="NAME")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sigma", type=float, default=25)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--quality", type=Quality, choices=list(Quality), default=Quality.BEST)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    network = restorekit.load(arguments.model).network
    if not isinstance(network, SparseCoding) or network.similar is None:
        parser.error(f"{arguments.model} does not look at similar patches")
    methods = list(variants(network, arguments.quality))
    with every_nth_image(arguments.data, arguments.every) as folder:
        named = {method.name: method for method in methods}
        results = evaluate_methods(folder, noise_of(arguments.sigma), named, crops=CropSettings(0)).results
    print("| | neighbours | window, at least | refreshed before steps | PSNR | seconds an image |")
    print("|---|---|---|---|---|---|")
    for method, result in zip(methods, results, strict=True):
        print(f"| {method.name} | {method.columns} | {result.psnr:.3f} | {_seconds_per_image(result):.2f} |")


def _seconds_per_image(result: MethodResult) -> float:
    return result.seconds / len(result.scores)


if __name__ == "__main__":
    main()
