"""`restorekit cs-mri`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.images import run_on_files, run_on_scans
from restorekit.cli.iterations import IterationOptions, draw_trajectory, start_trajectory
from restorekit.cli.options import FileOptions, MessageOptions, ModelOptions, command
from restorekit.cli.values import parse_sampling, parse_settings
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.physics.kspace import MaskSource
    from restorekit.restore.batch import Operation
    from restorekit.restore.cs_mri import CsMri
    from restorekit.restore.scans import ScanOperation

_SCAN = "Scan"


@dataclass(frozen=True)
class SamplingOptions:
    """Options of every command that deals with a part of k-space."""

    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            metavar="FILE",
            help="Which frequencies were measured: an .npy of zeros and ones or a black and white picture.",
            rich_help_panel=_SCAN,
        ),
    ] = None
    simulate: Annotated[
        str | None,
        typer.Option(
            "--simulate",
            metavar="PATTERN:SHARE",
            help="Make a mask: radial, cartesian or random, and the share to be sampled, as in radial:0.3.",
            rich_help_panel=_SCAN,
        ),
    ] = None
    centred: Annotated[
        bool | None,
        typer.Option(
            "--centred/--not-centred",
            help="Zero frequency is in the middle, or at the first row and column, of k-space and mask "
            "(default: a guess from where the energy is, told).",
            rich_help_panel=_SCAN,
        ),
    ] = None
    noise: Annotated[
        float,
        typer.Option(
            "--noise",
            metavar="NUMBER",
            min=0,
            max=255,
            help="Standard deviation of the noise in k-space, 255 being the image's greatest value. "
            "It is added where a picture is sampled.",
            rich_help_panel=_SCAN,
        ),
    ] = 0.0
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", min=0, help="Of what is drawn at random.", rich_help_panel=_SCAN),
    ] = 0


def mask_source(options: SamplingOptions) -> MaskSource | None:
    """The mask that the options ask for, if any."""
    if options.mask is not None and options.simulate is not None:
        raise UsageError("--mask and --simulate exclude each other")
    if options.simulate is not None:
        from restorekit.physics.kspace import DrawnMask

        return DrawnMask(parse_sampling(options.simulate, "--simulate"), options.seed)
    if options.mask is None:
        return None
    from restorekit.image.mri import read_mask
    from restorekit.physics.kspace import MaskFile

    return MaskFile(read_mask(options.mask), options.centred)


@command
def cs_mri(
    files: FileOptions,
    sampling: SamplingOptions,
    model: ModelOptions,
    iterations: IterationOptions,
    messages: MessageOptions,
) -> None:
    """Reconstruct magnetic resonance images from a part of their k-space (compressed sensing).

    SCAN.npy becomes SCAN_reconstructed.png beside it: magnitudes, 16 bits; -o names an .npy (complex) or .nii.gz file.
    Inputs are .npy, .npz, fastMRI's .h5 and BART's .cfl, of one coil; every slice is done. Pictures are sampled first,
    with --simulate or --mask, and reconstructed in their own format. --model takes a model trained for this task, a
    denoiser of grey images, or tv, for total variation.
    """
    source = mask_source(sampling)
    pictures = source is not None and _are_pictures(files.inputs, sampled=sampling.simulate is not None)
    if pictures and iterations.trajectory is not None and iterations.reference is None:
        iterations = replace(iterations, reference=Path(files.inputs[0]))
    elif iterations.reference is not None and not pictures:
        raise UsageError("--reference is for pictures that are sampled; the image of a scan has another scale")
    trajectory = start_trajectory(iterations, files)

    def make_method() -> CsMri:
        from restorekit.restore.cs_mri import choose_cs_mri

        settings = parse_settings(model.quality, model.device, model.tile)
        method = choose_cs_mri(model.model, settings, iterations.iterations, offline=model.offline)
        method.check_noise(sampling.noise / 255)
        return method

    def make_operation() -> Operation:
        from restorekit.restore.scans import ReconstructPicture

        assert source is not None
        return ReconstructPicture(make_method(), source, sampling.noise / 255, sampling.seed, trajectory)

    def make_scan_operation() -> ScanOperation:
        from restorekit.restore.scans import ReconstructFile

        method, noise = make_method(), sampling.noise / 255
        return ReconstructFile(method, source, sampling.centred, noise, files.max_pixels, trajectory)

    if pictures:
        run_on_files(files, messages, make_operation, participle="reconstructed")
    else:
        from restorekit.restore.scans import ScanFiles

        run_on_scans(files, messages, make_scan_operation, participle="reconstructed", kind=ScanFiles())
    draw_trajectory(trajectory, iterations, files)


def _are_pictures(inputs: list[str], *, sampled: bool) -> bool:
    """Whether to look for pictures: nothing is named like k-space, and a folder or stream is to be sampled."""
    from restorekit.image.mri import KSPACE_SUFFIXES

    if any(Path(name).suffix.lower() in KSPACE_SUFFIXES for name in inputs):
        return False
    return sampled or all(Path(name).suffix for name in inputs)
