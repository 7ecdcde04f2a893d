"""`restorekit eval cs-mri`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.evaluation import EvalOptions, measure_methods, run_settings
from restorekit.cli.options import MessageOptions, command
from restorekit.cli.values import parse_sampling
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.evaluate.cs_mri import KspaceMask

_BASELINES = ("zero-filling", "tv", "sigpy-tv", "sigpy-wavelet")


@command
def eval_cs_mri(
    options: EvalOptions,
    messages: MessageOptions,
    sampling: Annotated[
        list[str] | None,
        typer.Option(
            "--sampling",
            metavar="PATTERN:SHARE",
            help="Which part of k-space to keep: radial, cartesian or random, and the share; repeatable.",
        ),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option("--mask", metavar="FILE", help="A mask to keep k-space by, .npy or picture; repeatable."),
    ] = None,
    centred: Annotated[
        bool | None,
        typer.Option("--centred/--not-centred", help="Where the masks have zero frequency (default: a guess)."),
    ] = None,
    noise: Annotated[
        float,
        typer.Option("--noise", metavar="NUMBER", min=0, max=255, help="Of k-space, on the image's scale 0..255."),
    ] = 0.0,
    iterations: Annotated[
        int | None, typer.Option("--iterations", metavar="N", min=1, help="How often denoisers denoise (default: 12).")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="|".join(_BASELINES),
            autocompletion=lambda: list(_BASELINES),
            help="A baseline to measure as well; repeatable. zero-filling takes the rest of k-space for zero.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of masks and noise.")] = 0,
) -> None:
    """Sample the k-space of clean grey images, reconstruct them by each method, compare: PSNR, SSIM and speed.

    A folder of .npy files instead of pictures has complex slices: float [slices, 2, H, W], the real and the imaginary
    part, or complex [slices, H, W]. The table goes to standard error.
    """
    from restorekit.evaluate import clean_slices, holds_slices
    from restorekit.evaluate.cs_mri import CsMriArray, CsMriBaseline, KspaceSampling, cs_mri_baseline
    from restorekit.restore.cs_mri import choose_cs_mri

    is_complex = holds_slices(options.data)
    levels = _levels(sampling or [], mask or [], centred, seed, real=not is_complex)
    methods: list[CsMriArray | CsMriBaseline] = [cs_mri_baseline(name, noise / 255) for name in against or []]
    settings = run_settings(options)
    names: list[str] | list[None] = options.model or [None]
    for name in names:
        for setting in settings:
            method = choose_cs_mri(name, setting, iterations, offline=options.offline)
            method.check_noise(noise / 255)
            if all(method.name != other.name for other in methods):  # Total variation has but one quality.
                methods.append(CsMriArray(method, noise / 255))
    images = clean_slices(options.data) if is_complex else None
    measure_methods(options, messages, KspaceSampling(levels, noise / 255), methods, seed=seed, images=images)


def _levels(
    samplings: list[str], masks: list[Path], centred: bool | None, seed: int, *, real: bool
) -> tuple[KspaceMask, ...]:
    if not samplings and not masks:
        raise UsageError("name what to keep of k-space: --sampling radial:0.3 or --mask FILE")
    from restorekit.evaluate.cs_mri import KspaceMask
    from restorekit.image.mri import read_mask
    from restorekit.physics.kspace import DrawnMask, MaskFile

    drawn = [KspaceMask(text, DrawnMask(parse_sampling(text, "--sampling"), seed), real) for text in samplings]
    read = [KspaceMask(path.stem, MaskFile(read_mask(path), centred), real) for path in masks]
    return (*drawn, *read)
