"""`restorekit degrade`: simulated degradations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.cs_mri import SamplingOptions, mask_source
from restorekit.cli.deblur import KERNEL, KERNEL_HELP
from restorekit.cli.images import run_on_files, run_on_scans
from restorekit.cli.options import FileOptions, MessageOptions, NoiseSeed, command
from restorekit.cli.values import (
    BOUNDARIES,
    PATTERNS,
    parse_boundary,
    parse_noise,
    parse_pattern,
    parse_simulated_sigma,
)
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from restorekit.restore.batch import Operation
    from restorekit.restore.scans import ScanOperation

degrade_app = typer.Typer(no_args_is_help=True, help="Make images worse on purpose, for tests and demonstrations.")


@degrade_app.command("noise")
@command
def noise(
    files: FileOptions,
    sigma: Annotated[
        str,
        typer.Option("--sigma", metavar="NUMBER", help="Standard deviation of the noise on the scale 0..255."),
    ],
    messages: MessageOptions,
    seed: NoiseSeed = 0,
) -> None:
    """Add Gaussian noise to images: IMG.png becomes IMG_noisy.png beside it.

    Integer images are rounded and clipped to their depth; float images keep values outside [0, 1].
    """
    level = parse_simulated_sigma(sigma)

    def make_operation() -> Operation:
        from restorekit.restore.degrade import AddNoise

        return AddNoise(level, seed)

    run_on_files(files, messages, make_operation, participle="noisy")


@degrade_app.command("jpeg")
@command
def jpeg(
    files: FileOptions,
    quality_factor: Annotated[
        int,
        typer.Option("--quality-factor", metavar="1..100", min=1, max=100, help="libjpeg's quality: 10 is very bad."),
    ],
    messages: MessageOptions,
) -> None:
    """Compress images as JPEG: IMG.png becomes IMG_jpeg.jpg beside it, of that very quality.

    Under the name of another format, the pixels of that JPEG are written. Colour is stored at half the resolution.
    """

    def make_operation() -> Operation:
        from restorekit.restore.degrade import CompressJpeg

        return CompressJpeg(quality_factor)

    run_on_files(files, messages, make_operation, participle="jpeg", written_as=_every_format_as_jpeg())


@degrade_app.command("mosaic")
@command
def mosaic(
    files: FileOptions,
    pattern: Annotated[
        str,
        typer.Option(
            "--pattern",
            metavar="|".join(PATTERNS),
            autocompletion=lambda: list(PATTERNS),
            help="Colours of the first 2x2 pixels, row by row.",
        ),
    ],
    messages: MessageOptions,
) -> None:
    """Keep one colour a pixel, as a Bayer sensor does: IMG.png becomes IMG_mosaic.png, a grey image, beside it.

    Unless an output is named, JPEG and WebP images become PNG mosaics, which they would not survive themselves.
    """
    known = parse_pattern(pattern)

    def make_operation() -> Operation:
        from restorekit.restore.degrade import MakeMosaic

        return MakeMosaic(known)

    run_on_files(
        files,
        messages,
        make_operation,
        participle="mosaic",
        written_as={"jpeg": "png", "webp": "png"},
        channels=1,
    )


@degrade_app.command("blur")
@command
def blur(
    files: FileOptions,
    kernel: Annotated[str, typer.Option("--kernel", metavar=KERNEL, help=KERNEL_HELP)],
    messages: MessageOptions,
    noise: Annotated[
        str,
        typer.Option("--noise", metavar="NUMBER", help="Standard deviation of noise to add, on the scale 0..255."),
    ] = "0",
    boundary: Annotated[
        str,
        typer.Option(
            "--boundary",
            metavar="|".join(BOUNDARIES),
            autocompletion=lambda: list(BOUNDARIES),
            help="What lies beyond the edges: open, the mirror image; circular, the image again, as in the papers.",
        ),
    ] = BOUNDARIES[0],
    seed: NoiseSeed = 0,
) -> None:
    """Blur images by a kernel, and add noise: IMG.png becomes IMG_blurred.png beside it.

    Integer images are rounded and clipped to their depth; float images keep what noise leads outside [0, 1].
    """
    level = parse_noise(noise)
    edges = parse_boundary(boundary)

    def make_operation() -> Operation:
        from restorekit.restore.degrade import Blur
        from restorekit.restore.kernel import parse_kernel

        return Blur(parse_kernel(kernel), level, seed, edges)

    run_on_files(files, messages, make_operation, participle="blurred")


@degrade_app.command("downsample")
@command
def downsample(
    files: FileOptions,
    scale: Annotated[
        int, typer.Option("--scale", metavar="2|3|4", min=2, max=4, help="How many times less high and wide.")
    ],
    messages: MessageOptions,
) -> None:
    """Make images small by bicubic interpolation without antialiasing: IMG.png becomes IMG_small.png beside it.

    Sides are cut to multiples of the scale at the bottom and right.
    """

    def make_operation() -> Operation:
        from restorekit.restore.degrade import Downsample

        return Downsample(scale)

    run_on_files(files, messages, make_operation, participle="small")


@degrade_app.command("kspace")
@command
def kspace(files: FileOptions, sampling: SamplingOptions, messages: MessageOptions) -> None:
    """Sample the k-space of grey images, as an MRI scanner does: IMG.png becomes IMG_kspace.npy beside it.

    Complex, zero where it is not sampled by --mask or --simulate, zero frequency in the middle.
    """
    source = mask_source(sampling)
    if source is None:
        raise UsageError("name what to sample: --simulate radial:0.3 or --mask FILE")
    from restorekit.image import supported_suffixes
    from restorekit.restore.scans import ScanFiles

    def make_operation() -> ScanOperation:
        from restorekit.restore.scans import SamplePicture

        return SamplePicture(source, sampling.noise / 255, sampling.seed, files.max_pixels)

    kind = ScanFiles(supported_suffixes, ".npy", complex_valued=True)
    run_on_scans(files, messages, make_operation, participle="kspace", kind=kind)


def _every_format_as_jpeg() -> Mapping[str, str]:
    from restorekit.image.formats import FORMATS

    return dict.fromkeys(FORMATS, "jpeg")
