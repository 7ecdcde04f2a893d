"""`restorekit degrade`: simulated degradations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files
from restorekit.cli.options import FileOptions, MessageOptions, command
from restorekit.cli.values import parse_simulated_sigma

if TYPE_CHECKING:
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
