"""Seconds per image of each quality of the models beside DnCNN, all in one run, as ratios.

    python -m tests.benchmarks.speed [--model NAME ...] [--peers FOLDER] [--threads 2] [--size 481x321] [--repeats 5]

The models are the default ones and those of sparse coding alone, grey and colour, unless some are named. DnCNN is that
of 17 layers of 64 channels in plain torch: the grey one with the weights in the folder of `--peers`, else, and for
colour, with random ones, which cost the same time. The methods take turns, and the median over the turns is reported:
a busy machine slows all alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

import restorekit
from tests.benchmarks.conditions import Image, Ours, at_every_quality, limit_threads, models_to_compare, noise_of
from tests.benchmarks.peers import DnCNN, Neighbour, load_dncnn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", metavar="NAME")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="481x321")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sigma", type=float, default=25)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    width, height = map(int, arguments.size.split("x"))
    random = np.random.default_rng(0)
    models = [restorekit.load(name) for name in arguments.model or models_to_compare(1) + models_to_compare(3)]
    for channels in sorted({model.card.channels for model in models}):
        shape = (height, width) if channels == 1 else (height, width, channels)
        image = random.random(shape, dtype=np.float32)
        if arguments.peers is not None and channels == 1:
            reference = load_dncnn(arguments.peers, arguments.sigma)
        else:
            reference = Neighbour("DnCNN", DnCNN(channels).eval())
        fitting = [model for model in models if model.card.channels == channels]
        noise = noise_of(arguments.sigma)
        methods = [reference, *(method for model in fitting for method in at_every_quality(noise, model))]
        seconds = _time(methods, image, arguments.sigma / 255, arguments.repeats)
        print(f"{arguments.size}, {channels} channel(s), {arguments.threads} threads")
        for method, took in zip(methods, seconds, strict=True):
            print(f"  {method.name:36} {took:7.3f} s  {took / seconds[0]:5.2f} x DnCNN")


def _time(methods: Sequence[Neighbour | Ours], image: Image, sigma: float, repeats: int) -> list[float]:
    """Median seconds of each method."""
    seconds: list[list[float]] = [[] for _ in methods]
    for turn in range(repeats + 1):
        for method, times in zip(methods, seconds, strict=True):
            started = time.perf_counter()
            method(image, sigma)
            if turn:  # The first turn warms up.
                times.append(time.perf_counter() - started)
    return [median(times) for times in seconds]


if __name__ == "__main__":
    main()
