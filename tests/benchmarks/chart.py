"""PSNR against seconds per megapixel: our models at every quality beside well-known denoisers, all from one run.

    python -m tests.benchmarks.chart --data FOLDER [--model NAME ...] [--peers FOLDER] [--sigma 25] [--every 1]
                                     [--threads 2] [--out chart.svg] [--json chart.json]

The others are total variation, OpenCV's non-local means and BM3D, and, with the weights in the folder of `--peers`,
FFDNet and, for grey images, DnCNN. What is measured, and how, is that of `restorekit eval denoise`. The extra
`baselines` has OpenCV and BM3D, the extra `train` has matplotlib; the weights need h5py.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path

import numpy as np

import restorekit
from restorekit.evaluate import CropSettings, Evaluation, evaluate_methods
from restorekit.image import read_picture
from restorekit.tasks.base import Benchmark
from tests.benchmarks.conditions import (
    Image,
    Method,
    Ours,
    at_every_quality,
    every_nth_image,
    limit_threads,
    models_to_compare,
    noise_of,
)
from tests.benchmarks.drawing import Point, draw_chart
from tests.benchmarks.peers import load_dncnn, load_ffdnet

NLM = "NLM (OpenCV)"


def opencv_nonlocal_means(noisy: Image, sigma: float) -> Image:
    """`fastNlMeansDenoising` and its sibling for colour, which take 8 bits; patches of 7x7 within 10 pixels.

    h = 0.9 sigma, in colour 0.5 sigma, was found best on photographs of BSDS500's training set.
    """
    import cv2

    pixels = np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)
    if noisy.ndim == 2:
        denoised = cv2.fastNlMeansDenoising(pixels, None, 0.9 * 255 * sigma)
    else:
        strength = 0.5 * 255 * sigma
        denoised = cv2.fastNlMeansDenoisingColored(pixels[..., ::-1].copy(), None, strength, strength)[..., ::-1]
    return np.asarray(denoised, np.float32) / np.float32(255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", metavar="NAME")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--sigma", type=float, default=25)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("chart.svg"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    noise = noise_of(arguments.sigma)
    with every_nth_image(arguments.data, arguments.every) as folder:
        channels = 1 if read_picture(min(folder.iterdir())).is_grey else 3
        ours = [
            method
            for name in arguments.model or models_to_compare(channels)
            for method in at_every_quality(noise, restorekit.load(name))
        ]
        evaluation = evaluate_methods(
            folder,
            noise,
            _others(noise, arguments.peers, arguments.sigma, channels) | {method.name: method for method in ours},
            device="cpu",
            crops=CropSettings(0),
            notes=_notes(arguments.threads),
        )
    if arguments.json is not None:
        arguments.json.write_text(evaluation.to_json() + "\n")
    points = _points(evaluation, ours, noise)
    for point in sorted(points, key=lambda point: point.seconds):
        print(f"{point.series or point.label:28} {point.label:14} {point.psnr:6.2f} dB {point.seconds:8.2f} s/MP")
    part = "" if arguments.every == 1 else f" (1 picture in {arguments.every})"
    title = f"{evaluation.dataset}{part}, sigma {arguments.sigma:g}, CPU threads: {arguments.threads}"
    draw_chart(points, title, arguments.out)


def _others(noise: Benchmark[float], peers: Path | None, sigma: float, channels: int) -> dict[str, Method]:
    others: dict[str, Method] = {"tv": noise.baseline("tv"), NLM: opencv_nonlocal_means, "bm3d": noise.baseline("bm3d")}
    if peers is not None:
        networks = [load_ffdnet(peers, channels), *([load_dncnn(peers, sigma)] if channels == 1 else [])]
        others |= {network.name: network for network in networks}
    return others


def _notes(threads: int) -> tuple[str, ...]:
    opencv = importlib.metadata.version("opencv-python-headless")
    return (f"CPU threads: {threads}", f"OpenCV {opencv}, which is given the noisy image clipped and rounded to 8 bits")


def _points(evaluation: Evaluation, ours: list[Ours], noise: Benchmark[float]) -> list[Point]:
    """A point for each result; one of ours belongs to the series of its model and is labelled with its quality."""
    labels = {method.name: (method.series, method.quality.value) for method in ours}
    labels |= {name: ("", name.upper()) for name in noise.baselines}
    points = []
    for result in evaluation.results:
        series, label = labels.get(result.method, ("", result.method))
        points.append(Point(series, label, 1 / result.megapixels_per_second, result.psnr))
    return points


if __name__ == "__main__":
    main()
