"""Peak memory of denoising a large photograph, above the interpreter with torch loaded.

    python -m tests.benchmarks.memory [--megapixels 24] [--quality fast] [--model NAME]

Runs `restorekit denoise` on a random picture in a process of its own and asks the operating system for the largest
resident set, of that process and of one that only imports torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from restorekit.image import Metadata, Picture, write_picture

MEBI = 1024


def peak_mebibytes(command: list[str]) -> float:
    """Largest resident set of a child process: measured in a process that has no other children."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True)\n"
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", script, *command], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1]) / MEBI


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--model", default="denoise-color-groupsc")
    arguments = parser.parse_args()
    height = round((arguments.megapixels * 1e6 * 2 / 3) ** 0.5)
    width = round(height * 1.5)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photograph.tif"
        ramp = np.linspace(0, 255, width, dtype=np.float32)[None, :, None]
        noise = np.random.default_rng(0).normal(0, 25, (64, width, 3))
        rows = np.clip(ramp + noise, 0, 255).astype(np.uint8)
        pixels = np.concatenate([rows] * (height // 64 + 1))[:height]
        write_picture(source, Picture(pixels, Metadata("tiff")), overwrite=False)
        base = peak_mebibytes([sys.executable, "-c", "import torch"])
        command = [
            sys.executable,
            "-m",
            "restorekit",
            "denoise",
            str(source),
            "--sigma",
            "25",
            "--max-pixels",
            str(10**9),
            "--model",
            arguments.model,
        ]
        started = time.perf_counter()
        peak = peak_mebibytes([*command, "--quality", arguments.quality, "--quiet"])
        seconds = time.perf_counter() - started
    print(f"{width}x{height} RGB, quality {arguments.quality}: {seconds:.0f} s")
    print(f"  peak {peak:.0f} MiB, import torch {base:.0f} MiB, above it {peak - base:.0f} MiB")


if __name__ == "__main__":
    main()
