"""Networks that reconstruct images from a part of their k-space."""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from restorekit.models.base import Count, Knots, Reconstructor, Widths
from restorekit.models.convolutional import UNet, UNetSettings
from restorekit.models.sparse_coding import SparseCoding, SparseMatrices, chunks
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, dihedral, dihedral_inverse
from restorekit.numerics.finite_differences import finite_differences_spectra
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.numerics.patches import aggregate_patches, extract_patches, regular_length
from restorekit.physics.base import Measurement
from restorekit.physics.kspace import SampledFourier
from restorekit.priors.base import Thresholds
from restorekit.priors.sparse import soft_threshold
from restorekit.priors.total_variation import NEIGHBOURS, SplitVariation
from restorekit.settings import Settings
from restorekit.solvers.proximal_gradient import Operators, gradient_step

UNMEASURED_ERROR = 10 / 255
"""The conditioning for k-space of which nothing was measured: about twice the error of zero-filling on brains."""
LEAST_NOISE = 1 / 255
"""Data and prior are weighed as if there were at least this noise."""
LAST_LEVEL = 0.1
"""Before training, the last sigma of the U-Net over the first."""
FIRST_THETA, LAST_THETA = 1.0, 0.1
"""Thresholds before training, over the conditioning: they fall as the image gets better."""
INITIAL_NOISE_THRESHOLD = 0.2


class Estimate(NamedTuple):
    """A prior's image z, [B, C, H, W], and its certainty of each frequency, P, [B, 1, H, W].

    P weighs squares in Fourier space, ||v||^2_P = sum_f P(f) |v(f)|^2, and is the same at opposite frequencies.
    """

    image: Tensor
    certainty: Tensor | float = 1.0


@dataclass(frozen=True)
class KspaceSettings(Settings):
    """channels: 1 real, 2 complex images. steps: K. knots: the conditioning, in [0, 1], where parameters are stored."""

    channels: Count
    steps: Count
    knots: Knots


class KspaceNetwork(Reconstructor):
    """x_0 = A^T y,  x_{k+1} = argmin_x 1/2 ||A x - y||^2 + gamma_k / 2 ||F (x - z_k)||^2_P_k,  z_k, P_k an `Estimate`.

    gamma_k = (sigma^2 + sigma_0^2) / tau_k^2, with tau_k, the error of z_k, learned. All parameters are the same for
    every sampling pattern; those that depend on the number of samples are stored at knots of the conditioning. Images
    and their k-space are divided by the greatest magnitude of x_0, so that they may have any scale.

    Networks are made for real images, 1 channel, or complex ones, 2, but take both. Images are periodic, and so may be
    smaller than a patch. steps: K.
    """

    INITIAL_ERROR = 10 / 255
    patch_size = 1

    def __init__(self, settings: KspaceSettings, errors: int | None = None) -> None:
        """errors: the number of tau, `steps` or 1 for all of them; as many as steps if None."""
        super().__init__()
        self.channels, self.steps = settings.channels, settings.steps
        shape = len(settings.knots), errors or settings.steps
        self.log_error = nn.Parameter(torch.full(shape, self.INITIAL_ERROR).log())
        self.interpolate = LevelInterpolation(settings.knots)

    @override
    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """Return the last iterate; images are never cut into tiles."""
        return deque(self.iterates(measurement, stride), maxlen=1).pop()

    def iterates(self, measurement: Measurement, stride: int) -> Iterator[Tensor]:
        """Yield x_1 to x_K, [B, C, H, W], of a measurement that `kspace_measurement` made."""
        peak = measurement.x0.norm(dim=1, keepdim=True).amax((2, 3), keepdim=True)
        unit = torch.where(peak > 0, peak, torch.ones_like(peak))
        y, x, sigma = measurement.y / unit, measurement.x0 / unit, measurement.sigma / unit[:, 0, 0, 0]
        error: Tensor = self.interpolate(self.log_error, measurement.conditioning).exp()
        gammas = ((sigma.square() + LEAST_NOISE**2)[:, None] / error.square()).expand(-1, self.steps)
        estimate = self._prior(measurement.conditioning, sigma, stride)
        for k, gamma in enumerate(gammas.T[..., None, None, None]):
            z, certainty = estimate(k, x)
            x = measurement.physics.prox_l2(z, y, gamma * certainty)
            yield peak * x

    @abstractmethod
    def _prior(self, conditioning: Tensor, sigma: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        """Return what makes z_k and P_k of k = 0, 1, ... and x_k, of magnitudes up to about 1; arguments are [B]."""


def kspace_measurement(physics: SampledFourier, y: Tensor, noise: Tensor) -> Measurement:
    """Return what a `KspaceNetwork` needs of k-space y, [B, 2, H, W], and its noise, [B], both on any one scale.

    The conditioning is (1 - r) 10 / 255, r the share of known frequencies; in a real image a frequency is known if its
    opposite is.
    """
    share = float((physics.spectrum > 0).double().mean())
    conditioning = y.new_full((y.shape[0],), (1 - share) * UNMEASURED_ERROR)
    return Measurement(y, physics.A_adjoint(y), conditioning, noise, physics)


@dataclass(frozen=True)
class CsUNetSettings(KspaceSettings):
    """Widths and blocks of the U-Net, see `UNetSettings`."""

    widths: Widths
    blocks: Count

    def __post_init__(self) -> None:
        if self.knots[-1] == 0:
            raise ValueError("knots: the last must be above 0")


class CsUNet(KspaceNetwork):
    """z_k = D(x_k, sigma_k), with one U-Net D for all steps and learned sigma_k.

    Real and imaginary part are denoised as two images. Like the Fourier transform, D takes an image to be periodic
    where its sides are no multiples of a cell's. At `stride` 1 the result is the mean over all symmetries: of K steps
    in each of which D sees the image rotated and mirrored so.
    Source: Aggarwal, Mani and Jacob, MoDL: Model Based Deep Learning Architecture for Inverse Problems, 2019, for a
    network that all steps share between exact data steps.
    """

    repeated_part = "denoiser"

    def __init__(self, settings: CsUNetSettings) -> None:
        super().__init__(settings)
        self.settings = settings
        self.denoiser = UNet(UNetSettings(1, settings.widths, settings.blocks))
        first = torch.tensor(settings.knots).clamp_min(settings.knots[-1] * LAST_LEVEL)[:, None]
        falling = torch.logspace(0, 1, settings.steps, LAST_LEVEL)
        self.log_level = nn.Parameter((first * falling).log())  # sigma_k

    @override
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another CS-UNet, or those of a denoiser; return False if they do not fit."""
        if isinstance(source, UNet):
            return self.denoiser.load_compatible_weights(source)
        return super().load_compatible_weights(source)

    @override
    def iterates(self, measurement: Measurement, stride: int) -> Iterator[Tensor]:
        if stride > 1:
            yield from super().iterates(measurement, stride)
            return
        tensors = (measurement.y, measurement.x0, measurement.conditioning, measurement.sigma)
        y, x0, conditioning, sigma = (torch.cat([tensor] * DIHEDRAL_VIEWS) for tensor in tensors)
        for x in super().iterates(Measurement(y, x0, conditioning, sigma, measurement.physics), stride):
            yield x.reshape(DIHEDRAL_VIEWS, -1, *x.shape[1:]).mean(0)

    @override
    def _prior(self, conditioning: Tensor, sigma: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        missing: Tensor = self.interpolate(self.log_level, conditioning).exp()
        sigmas = (missing.square() + sigma.square()[:, None]).sqrt()
        cell = self.denoiser.patch_size

        def estimate(k: int, x: Tensor) -> Estimate:
            height, width = x.shape[2:]
            sides = (regular_length(side, cell, cell) for side in (height, width))
            parts, _, _ = _continued(x.reshape(-1, 1, height, width), *sides)
            at = sigmas[:, k].repeat_interleave(x.shape[1])
            ways = DIHEDRAL_VIEWS if stride == 1 else 1
            denoised = [
                dihedral_inverse(self.denoiser(dihedral(some, turn), sigma_k)[0], turn)
                for turn, (some, sigma_k) in enumerate(zip(parts.chunk(ways), at.chunk(ways), strict=True))
            ]
            return Estimate(torch.cat(denoised)[..., :height, :width].reshape(x.shape))

        return estimate


@dataclass(frozen=True)
class CsSparseCodingSettings(KspaceSettings):
    """patch_size: p of p x p patches. atoms: columns of D. variance: pull patches towards the average estimate."""

    patch_size: Count
    atoms: Count
    variance: bool = False


class CsSparseCoding(KspaceNetwork):
    """z_k = average over patches of W alpha_i + mu_i 1, with alpha_i the code of the centred patch i, mu_i its mean.

    The patches are those of x_k, or with variance reduction those of x_k + nu_k (z_{k-1} - x_k). Their codes make one
    `gradient_step` from the previous ones, with untied D, C, W, and are soft thresholded: by `Thresholds`, and n_k
    sigma more where there is noise. Real and imaginary part are coded as two images. Like the Fourier transform,
    patches take an image to be periodic, so that as many cover its border as its middle.
    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4 and table
    1, variance reduction being in its discrete form. There the codes follow the gradient of the data term through the
    average of patches, here the data step is exact.
    """

    matrices = ("coding.dictionary", "coding.analysis", "coding.synthesis")
    repeated_part = "coding"

    def __init__(self, settings: CsSparseCodingSettings) -> None:
        super().__init__(settings)
        self.settings, steps = settings, settings.steps
        self.coding = PatchCoding(settings.patch_size, settings.atoms)
        self.sparse = Thresholds(steps, settings.atoms, settings.knots)
        self.momentum = nn.Parameter(torch.zeros(steps))
        self.noise_threshold = nn.Parameter(torch.full((steps,), INITIAL_NOISE_THRESHOLD))
        if settings.variance:
            self.feedback = nn.Parameter(torch.zeros(steps))  # nu

    @override
    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another CS-SC, or D, C, W from the W of a denoiser, divided by its largest singular
        value; return False if the shapes do not fit.
        """
        if not isinstance(source, SparseCoding):
            return super().load_compatible_weights(source)
        if source.synthesis.shape != self.coding.synthesis.shape:
            return False
        self.coding.initialise(source.synthesis)
        falling = torch.logspace(0, 1, self.steps, LAST_THETA / FIRST_THETA)
        self.sparse.theta.copy_(FIRST_THETA * falling[:, None].expand_as(self.sparse.theta))
        return True

    @override
    def _prior(self, conditioning: Tensor, sigma: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        more = self.noise_threshold.clamp_min(0)[:, None] * sigma
        thresholds = self.sparse(conditioning) + more[:, :, None, None]
        z: Tensor | None = None
        codes: tuple[Tensor, Tensor] | None = None  # alpha of the step before, and of the one before that

        def estimate(k: int, x: Tensor) -> Estimate:
            nonlocal z, codes
            target = torch.lerp(x, z, self.feedback[k]) if z is not None and self.settings.variance else x
            parts = target.reshape(-1, 1, *x.shape[2:])
            threshold = thresholds[k].repeat_interleave(x.shape[1], 0)
            average, made, before = self.coding(parts, codes, threshold, self.momentum[k : k + 1], stride)
            z, codes = average.view_as(x), (made, before)
            return Estimate(z)

        return estimate


def _continued(images: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return periodic images as if they had that size, and the rows and columns of the given ones that this takes."""
    rows = torch.arange(height, device=images.device) % images.shape[-2]
    cols = torch.arange(width, device=images.device) % images.shape[-1]
    return images[..., rows, :][..., cols], rows, cols


class PatchCoding(SparseMatrices):
    """D, C and W of patches, and one step of the codes of periodic images with them."""

    channels = 1

    def __init__(self, patch_size: int, atoms: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.make_matrices(patch_size**2, atoms)

    def forward(
        self, images: Tensor, codes: tuple[Tensor, Tensor] | None, threshold: Tensor, momentum: Tensor, stride: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the average of the patch estimates, the codes alpha_k that they are made of, and alpha_{k-1}.

        images: [B, 1, H, W], patches being taken at every `stride`-th pixel. codes: alpha_{k-1} and alpha_{k-2},
        [B, N, p], the latter overwritten without gradients; None to begin from zero. threshold: of alpha_k, [B, 1, p].
        momentum: m_k, [1].
        """
        height, width = images.shape[-2:]
        covered = ((side - 1) // stride * stride + self.patch_size for side in (height, width))
        images, rows, cols = _continued(images, *covered)
        patches = extract_patches(images, self.patch_size, stride)
        means = patches.mean(2, keepdim=True)
        patches = patches - means
        if codes is None:
            made = soft_threshold(torch.matmul(patches, self.analysis.T), threshold)
            before = made if torch.is_grad_enabled() else made.clone()
        else:
            before, made = codes[0], self._step(patches, *codes, threshold, momentum)
        estimates = (torch.matmul(self.synthesis, made.mT) + means.mT).mT
        counted = torch.cat([estimates, torch.ones_like(estimates[:1])])
        sums = aggregate_patches(counted, len(rows), len(cols), self.patch_size, stride)
        sums = sums.new_zeros(*sums.shape[:2], height, len(cols)).index_add(2, rows, sums)
        sums = sums.new_zeros(*sums.shape[:3], width).index_add(3, cols, sums)
        return sums[:-1] / sums[-1:], made, before

    def _step(self, patches: Tensor, codes: Tensor, previous: Tensor, threshold: Tensor, momentum: Tensor) -> Tensor:
        analysis, dictionary = (matrix.T.expand(len(patches), -1, -1) for matrix in (self.analysis, self.dictionary))
        operators = Operators(dictionary, analysis, momentum)
        for some in chunks(patches.shape[1]):
            point = gradient_step(0, patches[:, some], codes[:, some], previous[:, some], operators)
            made = soft_threshold(point, threshold)
        return made if torch.is_grad_enabled() else previous


class CsTv(KspaceNetwork):
    """z_k, P_k, u_k = S_k(x_k, u_{k-1}),   u_{-1} = 0,   S_k being step k of `SplitVariation`: split Bregman.

    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4, pixel
    reconstruction, for the energy; there each step follows a gradient, here it solves for x. The error tau is one for
    all steps: the size of the weights w_k holds the rest.
    """

    repeated_part = "variation"

    def __init__(self, settings: KspaceSettings) -> None:
        super().__init__(settings, errors=1)
        self.settings = settings
        self.variation = SplitVariation(settings.steps, settings.knots)

    @override
    def _prior(self, conditioning: Tensor, sigma: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        weights, thresholds = self.variation.numbers(conditioning, sigma)
        state: tuple[Tensor, Tensor] | None = None  # u, and the spectra of finite differences

        def estimate(k: int, x: Tensor) -> Estimate:
            nonlocal state
            dual, spectra = state or (x.new_zeros(len(NEIGHBOURS), *x.shape), finite_differences_spectra(x, NEIGHBOURS))
            step = weights[k], thresholds[k], self.variation.memory[k]
            z, dual, certainty = self.variation(x, dual, spectra, *step)
            state = dual, spectra
            return Estimate(z, certainty)

        return estimate
