"""Options of commands that iterate: how often, and a plot of how it went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.options import FileOptions
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.inference.plug_and_play import Trajectory

_ITERATIONS = "Iterations"


@dataclass(frozen=True)
class IterationOptions:
    """How many iterations, and where to draw them."""

    iterations: Annotated[
        int | None,
        typer.Option(
            "--iterations",
            metavar="N",
            min=1,
            max=1000,
            help="How many iterations (default: as many as measured best).",
            rich_help_panel=_ITERATIONS,
        ),
    ] = None
    trajectory: Annotated[
        Path | None,
        typer.Option(
            "--trajectory",
            metavar="OUT.png",
            help="Plot how much each iteration changed and, with --reference, its PSNR.",
            rich_help_panel=_ITERATIONS,
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="IMG",
            help="The clean picture, to measure each iteration with.",
            rich_help_panel=_ITERATIONS,
        ),
    ] = None


def start_trajectory(options: IterationOptions, files: FileOptions) -> Trajectory | None:
    """What is to be kept for the plot, if one is wanted; raises before any work for what no picture could satisfy."""
    if options.trajectory is None:
        if options.reference is not None:
            raise UsageError("--reference is for a plot; name its file with --trajectory OUT.png")
        return None
    if len(files.inputs) != 1 or files.inputs[0] == "-" or Path(files.inputs[0]).is_dir():
        raise UsageError("--trajectory is for one picture in a file; name exactly one as input")
    if files.skip_existing:
        raise UsageError("--trajectory and --skip-existing exclude each other")
    if options.trajectory.suffix.lower() != ".png":
        raise UsageError(f"--trajectory {options.trajectory}: a plot is a PNG file; name one ending in .png")
    from restorekit.image import check_output, read_picture
    from restorekit.inference.plug_and_play import Trajectory
    from restorekit.pages.figures import check_plots

    check_plots()
    check_output(options.trajectory, overwrite=files.overwrite)
    if options.reference is None:
        return Trajectory()
    return Trajectory(read_picture(options.reference, max_pixels=files.max_pixels).to_float())


def draw_trajectory(trajectory: Trajectory | None, options: IterationOptions, files: FileOptions) -> None:
    """Write the plot, if there is something to plot."""
    if trajectory is None or options.trajectory is None or not trajectory.residuals:
        return
    from restorekit.image import show_path, write_file
    from restorekit.pages.figures import draw_convergence

    title = show_path(Path(Path(files.inputs[0]).name))
    plot = draw_convergence(trajectory.residuals, trajectory.psnrs, title)
    write_file(options.trajectory, plot, overwrite=files.overwrite)
