"""K-space files in, reconstructed slices out; pictures sampled and reconstructed; pictures made k-space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UnsupportedImageError
from restorekit.image import Picture, check_output, read_picture, write_file
from restorekit.image.mri import (
    KSPACE_SUFFIXES,
    check_slices,
    encode_scan,
    is_complete_scan,
    read_kspace,
    scan_format_of,
)
from restorekit.inference.plug_and_play import Trajectory
from restorekit.physics.kspace import MaskSource, Slices, arrange, channels_of, complex_of
from restorekit.restore.batch import (
    Account,
    Done,
    Outcome,
    Restored,
    Skipped,
    is_finished,
    prepare_folder,
    read_stream,
    run_jobs,
    write_stream,
)
from restorekit.restore.cs_mri import CsMri, sampled_fourier
from restorekit.restore.cs_mri_tv import peak_of
from restorekit.restore.plan import Existing, Job, Plan


@dataclass(frozen=True)
class ScanFiles:
    """The `FileKind` of slices: suffixes of the inputs, and the one that is written where none is named.

    complex_valued: whether their phases must be kept, which .npy alone does.
    """

    suffixes: frozenset[str] = KSPACE_SUFFIXES
    written: str = ".png"
    complex_valued: bool = False

    def output_name(self, source: Path) -> Path:
        """The same name with another suffix."""
        return Path(f"{source.stem}{self.written}")

    def check_output(self, path: Path) -> None:
        """One of `SCAN_SUFFIXES`."""
        if self.complex_valued and not path.name.lower().endswith(".npy"):
            raise UnsupportedImageError(f"k-space is complex, and is written as .npy, not as {path.suffix!r}")
        scan_format_of(path)

    def is_complete(self, output: Path) -> bool:
        """Whether it can be read again."""
        return is_complete_scan(output)


@dataclass(frozen=True, eq=False)
class Scan(Account):
    """Slices that were made, [S, H, W]: images, or k-space with zero frequency in the middle."""

    slices: Slices

    @property
    def megapixels(self) -> float:
        """Of all slices."""
        return self.slices.size / 1e6


ScanOperation = Callable[[Path | bytes, str], Scan]
"""A file or its bytes, and the suffix of what will be written, so that too many slices are refused before the work."""


def run_scans(
    plan: Plan, operation: ScanOperation, existing: Existing, kind: ScanFiles, stdin: BinaryIO, stdout: BinaryIO
) -> Iterator[Outcome]:
    """Work through the plan's jobs; see `run_jobs`."""

    def work(job: Job) -> Outcome:
        if existing is Existing.SKIP and is_finished(job, kind):
            return Skipped(job)
        if job.target is not None:
            prepare_folder(job.target.parent)
            check_output(job.target, overwrite=existing is not Existing.KEEP)
        suffix = kind.written if job.target is None else scan_format_of(job.target)
        made = operation(read_stream(stdin) if job.source is None else job.source, suffix)
        data, notes = encode_scan(made.slices, suffix)
        if job.target is None:
            write_stream(stdout, data)
        else:
            write_file(job.target, data, overwrite=existing is not Existing.KEEP)
        return Done(job, made, (*made.notes, *notes))

    return run_jobs(plan, work)


@dataclass(frozen=True, eq=False)
class ReconstructFile:
    """A `ScanOperation`: the slices of a k-space file, one after another.

    noise: standard deviation in the real and the imaginary part of k-space, over the greatest magnitude of the image
    that zero-filling makes of all slices. centred: where zero frequency is, None to guess. trajectory: told of every
    iteration on the only slice. The rest as in `arrange`.
    """

    method: CsMri
    mask: MaskSource | None
    centred: bool | None
    noise: float
    max_pixels: int | None = None
    trajectory: Trajectory | None = None

    def __call__(self, source: Path | bytes, suffix: str) -> Scan:
        """The images, complex and on the scale of k-space.

        Raises:
            UnsupportedImageError: slices too many to plot, or for a file of that suffix.
        """
        k_space = read_kspace(source, max_pixels=self.max_pixels)
        if self.trajectory is not None and len(k_space) > 1:
            raise UnsupportedImageError(f"{len(k_space)} slices; the iterations of one alone can be plotted")
        check_slices(len(k_space), suffix)
        return self.reconstruct(k_space)

    def reconstruct(self, k_space: Slices) -> Scan:
        """The same of slices in memory, [S, H, W]."""
        samples = arrange(k_space, self.mask, self.centred)
        physics = sampled_fourier(samples.mask, real=False)
        k_spaces = [_as_channels(slice_) for slice_ in samples.slices]
        noise = self.noise * max(peak_of(physics.A_adjoint(y)) for y in k_spaces)
        runs = [self.method(physics, y, noise, self.trajectory) for y in k_spaces]
        images = np.stack([complex_of(image)[0].numpy() for image, _ in runs])
        if samples.centred:
            images = np.fft.fftshift(images, axes=(1, 2))
        reports = [report for _, report in runs]
        return Scan(
            slices=images.astype(np.complex64),
            model=self.method.model,
            parameters=(("slices", len(images)), ("iterations", self.method.iterations)),
            device=reports[0].device,
            tiles=sum(report.tiles for report in reports),
            seconds=sum(report.seconds for report in reports),
            notes=samples.notes,
        )


@dataclass(frozen=True, eq=False)
class ReconstructPicture:
    """An operation for `run_batch`: a grey picture is sampled, as by a scanner, and reconstructed from the samples.

    noise: of k-space, in [0, 1] on the scale of the picture, drawn from `seed`. trajectory: told of every iteration.
    """

    method: CsMri
    mask: MaskSource
    noise: float
    seed: int
    trajectory: Trajectory | None = None

    def __call__(self, picture: Picture) -> Restored:
        """The reconstruction in the same depth. Raises UnsupportedImageError for a colour picture."""
        x = torch.from_numpy(_grey(picture))[None, None]
        mask, notes = self.mask.mask(*x.shape[2:])
        physics = sampled_fourier(mask, real=True)
        y = physics.observe(x, self.noise, self.seed)
        image, report = self.method(physics, y, self.noise, self.trajectory)
        return Restored(
            picture.with_float(image[0, 0].numpy()),
            model=self.method.model,
            parameters=(("noise", 255 * self.noise), ("iterations", self.method.iterations)),
            device=report.device,
            tiles=report.tiles,
            seconds=report.seconds,
            notes=notes,
        )


@dataclass(frozen=True, eq=False)
class SamplePicture:
    """A `ScanOperation`: the k-space of a grey picture, zero where it is not sampled, zero frequency in the middle.

    The middle of the picture is the origin, as in files of scanners. noise, seed: as in `ReconstructPicture`.
    """

    mask: MaskSource
    noise: float
    seed: int
    max_pixels: int | None = None

    def __call__(self, source: Path | bytes, suffix: str) -> Scan:
        """One slice. Raises UnsupportedImageError for a colour picture."""
        picture = read_picture(source, max_pixels=self.max_pixels)
        x = torch.from_numpy(np.ascontiguousarray(np.fft.ifftshift(_grey(picture))))[None, None]
        mask, notes = self.mask.mask(*x.shape[2:])
        y = sampled_fourier(mask, real=True).observe(x, self.noise, self.seed)
        k_space = np.fft.fftshift(complex_of(y).numpy(), axes=(1, 2))
        return Scan(slices=k_space, parameters=(("noise", 255 * self.noise),), notes=(*picture.notes, *notes))


def _grey(picture: Picture) -> NDArray[np.float32]:
    if not picture.is_grey:
        raise UnsupportedImageError("a colour picture; k-space is simulated of a grey one")
    return picture.to_float()


def _as_channels(k_space: NDArray[np.complex64]) -> Tensor:
    return channels_of(torch.from_numpy(np.ascontiguousarray(k_space))[None])
