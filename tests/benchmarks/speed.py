"""Seconds per image of each quality of the shipped models beside DnCNN, all in one run, as ratios.

    python -m tests.benchmarks.speed [--threads 2] [--size 481x321] [--repeats 5]

DnCNN (Zhang et al. 2017: 17 layers of 64 channels, 3x3, ReLU) runs in plain torch with random weights, which cost the
same time as trained ones. The methods take turns, and the median over the turns is reported: a busy machine slows all
alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn

import restorekit
from restorekit.restore.engine import Quality, RunSettings, restore_array


def dncnn(channels: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU(inplace=True)]
    for _ in range(15):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(64, channels, 3, padding=1)).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="481x321")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sigma", type=float, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    width, height = map(int, arguments.size.split("x"))
    random = np.random.default_rng(0)
    for channels, name in ((1, "denoise-gray-sc"), (3, "denoise-color-sc")):
        shape = (height, width) if channels == 1 else (height, width, channels)
        image = random.random(shape, dtype=np.float32)
        runs: dict[str, Callable[[], object]] = {"DnCNN": _dncnn_run(image, channels)}
        network = restorekit.load(name).network
        for quality in reversed(Quality):
            runs[f"{name} {quality.value}"] = _our_run(image, arguments.sigma / 255, network, quality)
        seconds: dict[str, list[float]] = {method: [] for method in runs}
        for turn in range(arguments.repeats + 1):
            for method, run in runs.items():
                started = time.perf_counter()
                run()
                if turn:  # The first turn warms up.
                    seconds[method].append(time.perf_counter() - started)
        reference = median(seconds["DnCNN"])
        print(f"{arguments.size}, {channels} channel(s), {arguments.threads} threads")
        for method, times in seconds.items():
            print(f"  {method:28} {median(times):7.3f} s  {median(times) / reference:5.2f} x DnCNN")


def _dncnn_run(image: np.ndarray, channels: int) -> Callable[[], object]:
    network = dncnn(channels)
    batch = torch.from_numpy(image).reshape(image.shape[0], image.shape[1], channels).permute(2, 0, 1)[None]

    def run() -> object:
        with torch.inference_mode():
            return network(batch.contiguous())

    return run


def _our_run(image: np.ndarray, sigma: float, network: nn.Module, quality: Quality) -> Callable[[], object]:
    return lambda: restore_array(image, sigma, network, RunSettings(quality, "cpu"))


if __name__ == "__main__":
    main()
