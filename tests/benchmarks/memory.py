"""Peak memory of restoring a large photograph, above the interpreter with torch loaded.

    python -m tests.benchmarks.memory [denoise|deblur|superres|cs-mri] [--megapixels 24] [--quality fast] [--model NAME]
        [--iterations N]

Runs the command on a random picture in a process of its own and asks the operating system for the largest resident set,
of that process and of one that only imports torch. So many megapixels are those of the result; superres makes it four
times as high and wide as its input, and the picture of cs-mri is grey.
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

COMMANDS = {
    "denoise": ("--sigma", "25"),
    "deblur": ("--kernel", "gaussian:2", "--noise", "2.55"),
    "superres": ("--scale", "4"),
    "cs-mri": ("--simulate", "radial:0.3"),
}


def peak_mebibytes(command: list[str]) -> float:
    """Largest resident set of a child process: measured in a process that has no other children."""
    script = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True)\n"
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", script, *command], check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1]) / MEBI


def noisy_ramp(height: int, width: int, *, grey: bool) -> Picture:
    """A picture of 8 bits from black at the left to white at the right, with noise of sigma 25."""
    ramp = np.linspace(0, 255, width, dtype=np.float32)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 25, (64, width, 1 if grey else 3))
    rows = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    pixels = np.concatenate([rows] * (height // 64 + 1))[:height]
    return Picture(pixels[..., 0] if grey else pixels, Metadata("tiff"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", choices=COMMANDS, default="denoise")
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--model")
    parser.add_argument("--iterations", type=int)
    arguments = parser.parse_args()
    shrunk = 4 if arguments.command == "superres" else 1
    height = round((arguments.megapixels * 1e6 * 2 / 3) ** 0.5) // shrunk
    width = round(height * 1.5)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photograph.tif"
        write_picture(source, noisy_ramp(height, width, grey=arguments.command == "cs-mri"), overwrite=False)
        base = peak_mebibytes([sys.executable, "-c", "import torch"])
        command = [sys.executable, "-m", "restorekit", arguments.command, str(source)]
        command += [*COMMANDS[arguments.command], "--max-pixels", str(10**9), "--quality", arguments.quality]
        for option in ("model", "iterations"):
            if (value := getattr(arguments, option)) is not None:
                command += [f"--{option}", str(value)]
        started = time.perf_counter()
        peak = peak_mebibytes([*command, "--quiet"])
        seconds = time.perf_counter() - started
    print(f"{arguments.command} of {width}x{height}, quality {arguments.quality}: {seconds:.0f} s")
    print(f"  peak {peak:.0f} MiB, import torch {base:.0f} MiB, above it {peak - base:.0f} MiB")


if __name__ == "__main__":
    main()
