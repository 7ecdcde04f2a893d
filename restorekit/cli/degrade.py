"""`restorekit degrade`: simulated degradations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files
from restorekit.cli.options import FileOptions, MessageOptions, command
from restorekit.cli.values import PATTERNS, parse_pattern, parse_simulated_sigma

if TYPE_CHECKING:
    from collections.abc import Mapping

    from restorekit.restore.batch import Operation

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
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same seed makes the same noise, for every image.")
    ] = 0,
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

    run_on_files(files, messages, make_operation, participle="mosaic", written_as={"jpeg": "png", "webp": "png"})


def _every_format_as_jpeg() -> Mapping[str, str]:
    from restorekit.image.formats import FORMATS

    return dict.fromkeys(FORMATS, "jpeg")
