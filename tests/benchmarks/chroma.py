"""PSNR of luma and of chroma of deblocked colour photographs, where `eval deblock` is for luma alone.

    python -m tests.benchmarks.chroma --data FOLDER [--model NAME ...] [--every 1] [--quality balanced] [--threads 2]

Pictures are halved in size, so that their chroma is not that of the JPEGs they may come from, saved as JPEGs with 4:2:0
colour, and restored as `restorekit deblock` does. Prints two Markdown tables, mean PSNR in dB by quality factor: of
luma, and of Cb and Cr together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from restorekit.image import Metadata, Picture, encode_picture, read_picture
from restorekit.numerics.metrics import psnr
from restorekit.physics.jpeg import rgb_to_ycbcr, shrink
from restorekit.tasks.base import Run
from restorekit.tasks.deblock import Deblock, DeblockOptions
from restorekit.types import Quality, RunSettings
from tests.benchmarks.conditions import images_in, limit_threads

QUALITY_FACTORS = (10, 20, 40, 80, 95, 98)


def halved(picture: Picture) -> Picture:
    """Means over 2x2 pixels, to whole blocks of 16, for which a decoder needs nothing beyond the border."""
    pixels = picture.to_float()
    small = np.dstack([shrink(pixels[..., channel], (2, 2)) for channel in range(3)])
    height, width = (side - side % 16 for side in small.shape[:2])
    return Picture(np.rint(255 * small[:height, :width]).astype(np.uint8), Metadata("png"))


def scores(clean: Picture, estimate: Picture) -> tuple[float, float]:
    """PSNR of luma, and the mean of those of Cb and Cr."""
    truth, found = (torch.from_numpy(rgb_to_ycbcr(picture.to_float())) for picture in (clean, estimate))
    luma, blue, red = (psnr(found[..., plane], truth[..., plane]) for plane in range(3))
    return luma, fmean((blue, red))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", metavar="NAME")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--quality", type=Quality, choices=list(Quality), default=Quality.BALANCED)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    limit_threads(arguments.threads)
    methods: dict[str, Callable[[Picture], Picture]] = {"as decoded": lambda picture: picture}
    for name in arguments.model or [None]:
        run = Run(Deblock().select(DeblockOptions(), name), RunSettings(arguments.quality, "cpu"))
        deblock = Deblock().prepare(DeblockOptions(), run)
        methods[run.models.name] = lambda picture, deblock=deblock: deblock(picture).picture
    pictures = [halved(read_picture(path)) for path in images_in(arguments.data)[:: arguments.every]]
    table: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for quality in QUALITY_FACTORS:
        decoded = [read_picture(encode_picture(clean, "jpeg", jpeg_quality=quality)) for clean in pictures]
        for name, restore in methods.items():
            found = [scores(clean, restore(seen)) for clean, seen in zip(pictures, decoded, strict=True)]
            table[name].append((fmean(luma for luma, _ in found), fmean(chroma for _, chroma in found)))
    for index, plane in enumerate(("luma", "chroma")):
        print_table(plane, {name: [pair[index] for pair in row] for name, row in table.items()})


def print_table(plane: str, rows: dict[str, Sequence[float]]) -> None:
    print(f"| {plane}, quality factor | {' | '.join(map(str, QUALITY_FACTORS))} |")
    print("|---" * (len(QUALITY_FACTORS) + 1) + "|")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{score:.2f}' for score in row)} |")
    print()


if __name__ == "__main__":
    main()
