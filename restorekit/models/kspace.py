"""What networks that reconstruct images from a part of their k-space have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.models.base import Reconstructor
from restorekit.models.settings import SettingsReader
from restorekit.models.sparse_coding import SparseCoding
from restorekit.models.unet import UNet, UNetSettings
from restorekit.numerics.dihedral import DIHEDRAL_VIEWS, dihedral, dihedral_inverse
from restorekit.numerics.finite_differences import finite_differences_spectra
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.numerics.patches import aggregate_patches, extract_patches, regular_length
from restorekit.physics.base import Measurement
from restorekit.physics.kspace import SampledFourier
from restorekit.priors.sparse import SparsePrior, soft_threshold
from restorekit.priors.total_variation import NEIGHBOURS, SplitVariation
from restorekit.solvers.proximal_gradient import Operators, gradient_step

UNMEASURED_ERROR = 10 / 255
"""The level of k-space of which nothing was measured: twice the error that zero-filling makes of brains, or so."""
LEAST_NOISE = 1 / 255
"""Where data and prior are weighed, noise below it is taken for it."""


@dataclass(frozen=True)
class Estimate:
    """What a prior makes of an image: z, [B, C, H, W], and how sure it is of each frequency, P, [B, 1, H, W].

    P weighs squares in Fourier space, ||v||^2_P = sum_f P(f) |v(f)|^2, and is the same at opposite frequencies.
    """

    image: Tensor
    certainty: Tensor | float = 1.0


class KspaceNetwork(Reconstructor):
    """x_0 = A^T y,   x_{k+1} = argmin_x 1/2 ||A x - y||^2 + gamma_k / 2 ||F (x - z_k)||^2_P_k,   z_k and P_k the
    prior's `Estimate`.

    gamma_k = (sigma^2 + sigma_0^2) / tau_k^2, with tau_k, the error of z_k, learned. All that is learned is the same
    for every pattern of samples; what depends on how many there are is stored at knots of the level. Images and their
    k-space are divided by the greatest magnitude of x_0, so that they may have any scale.
    """

    INITIAL_ERROR = 10 / 255

    def __init__(self, channels: int, steps: int, knots: tuple[float, ...], errors: int | None = None) -> None:
        """errors: how many tau there are, `steps` or 1 for all of them; as many as steps if None."""
        super().__init__()
        self._channels, self._steps = channels, steps
        self.log_error = nn.Parameter(torch.full((len(knots), errors or steps), self.INITIAL_ERROR).log())
        self.interpolate = LevelInterpolation(knots)

    @property
    def channels(self) -> int:
        """Of the images it was made for: 1 for real, 2 for complex ones; it takes both."""
        return self._channels

    @property
    def steps(self) -> int:
        """How often prior and data take turns, K."""
        return self._steps

    def reconstruct(self, measurement: Measurement, stride: int = 1, tile_size: int | None = None) -> Tensor:
        """The last iterate; see `Reconstructor.forward`. Images are never cut into tiles."""
        return deque(self.iterates(measurement, stride), maxlen=1).pop()

    def iterates(self, measurement: Measurement, stride: int) -> Iterator[Tensor]:
        """x_1 to x_K, [B, C, H, W], of a measurement that `kspace_measurement` made."""
        peak = measurement.x0.norm(dim=1, keepdim=True).amax((2, 3), keepdim=True)
        unit = torch.where(peak > 0, peak, torch.ones_like(peak))
        y, x, noise = measurement.y / unit, measurement.x0 / unit, measurement.sigma / unit[:, 0, 0, 0]
        error: Tensor = self.interpolate(self.log_error, measurement.conditioning).exp()
        gammas = ((noise.square() + LEAST_NOISE**2)[:, None] / error.square()).expand(-1, self.steps)
        estimate = self._prior(measurement.conditioning, noise, stride)
        for k, gamma in enumerate(gammas.T[..., None, None, None]):
            z = estimate(k, x)
            x = measurement.physics.prox_l2(z.image, y, gamma * z.certainty)
            yield peak * x

    @abstractmethod
    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        """From k and x_k, whose magnitudes are about 1 at most, to z_k and P_k; called for each k in turn.

        level, noise: of each image, [B].
        """


def kspace_measurement(physics: SampledFourier, y: Tensor, noise: Tensor) -> Measurement:
    """k-space y [B, 2, H, W], on any scale, with noise [B] on the same: what a `KspaceNetwork` reconstructs from.

    The level is (1 - share) 10 / 255, the share being that of the frequencies that are known; of a real image a
    frequency is known if its opposite is.
    """
    share = float((physics.spectrum > 0).double().mean())
    level = y.new_full((y.shape[0],), (1 - share) * UNMEASURED_ERROR)
    return Measurement(y, physics.A_adjoint(y), level, noise, physics)


LAST_LEVEL = 0.1
"""Before training the U-Net is told in the last step this part of the noise level that it is told in the first."""


@dataclass(frozen=True)
class CsUNetSettings:
    """What fixes the shapes of a `CsUNet` network.

    channels: 1 real, 2 complex images. steps: K. knots: levels in [0, 1] at which its schedule is stored. widths,
    blocks: of the U-Net, see `UNetSettings`.
    """

    channels: int
    steps: int
    knots: tuple[float, ...]
    widths: tuple[int, ...]
    blocks: int

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> CsUNetSettings:
        """From the settings on a model card. Raises WeightsError if they do not describe a network."""
        given = SettingsReader.of(settings, cls, "cs-unet")
        if given.levels("knots")[-1] == 0:
            raise given.error("knots", "levels of which the last is above 0", settings["knots"])
        return cls(
            channels=given.count("channels"),
            steps=given.count("steps"),
            knots=given.levels("knots"),
            widths=given.counts("widths"),
            blocks=given.count("blocks"),
        )


class CsUNet(KspaceNetwork):
    """z_k = D(x_k, sigma_k), with one U-Net D for all steps, told noise levels sigma_k that are learned.

    Real and imaginary part are denoised as two images. Like the Fourier transform, D takes an image to be periodic
    where its sides are no multiples of a cell's. With every patch asked for, `stride` 1, the result is the mean over
    all turns and mirror images: of K steps in each of which D sees the image so turned.

    Source: Aggarwal, Mani and Jacob, MoDL: Model Based Deep Learning Architecture for Inverse Problems, 2019, for a
    network that all steps share between exact data steps.
    """

    def __init__(self, settings: CsUNetSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots)
        self.settings = settings
        self.denoiser = UNet(UNetSettings(1, settings.widths, settings.blocks))
        levels = torch.tensor(settings.knots).clamp_min(settings.knots[-1] * LAST_LEVEL)[:, None]
        falling = torch.logspace(0, 1, settings.steps, LAST_LEVEL)
        self.log_level = nn.Parameter((levels * falling).log())  # sigma_k

    @property
    def patch_size(self) -> int:
        """An image may be smaller than a cell, since it is periodic."""
        return 1

    @property
    def repeated(self) -> nn.Module:
        """The U-Net."""
        return self.denoiser

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of another CS-UNet, or those of a denoiser; False if they do not fit."""
        return (
            self.denoiser.load_compatible_weights(source)
            if isinstance(source, UNet)
            else super().load_compatible_weights(source)
        )

    def iterates(self, measurement: Measurement, stride: int) -> Iterator[Tensor]:
        """See `KspaceNetwork.iterates`."""
        if stride > 1:
            yield from super().iterates(measurement, stride)
            return
        tensors = (measurement.y, measurement.x0, measurement.conditioning, measurement.sigma)
        y, x0, conditioning, sigma = (tensor.repeat(DIHEDRAL_VIEWS, *[1] * (tensor.ndim - 1)) for tensor in tensors)
        for x in super().iterates(Measurement(y, x0, conditioning, sigma, measurement.physics), stride):
            yield x.reshape(DIHEDRAL_VIEWS, -1, *x.shape[1:]).mean(0)

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        missing: Tensor = self.interpolate(self.log_level, level).exp()
        levels = (missing.square() + noise.square()[:, None]).sqrt()

        def estimate(k: int, x: Tensor) -> Estimate:
            height, width = x.shape[2:]
            cell = self.denoiser.patch_size
            rows, cols = (
                torch.arange(regular_length(side, cell, cell), device=x.device) % side for side in (height, width)
            )
            parts = x.reshape(-1, 1, height, width)[..., rows, :][..., cols]
            told = levels[:, k].repeat_interleave(x.shape[1])
            ways = DIHEDRAL_VIEWS if stride == 1 else 1
            denoised = [
                dihedral_inverse(self.denoiser(dihedral(some, turn), at)[0], turn)
                for turn, (some, at) in enumerate(zip(parts.chunk(ways), told.chunk(ways), strict=True))
            ]
            return Estimate(torch.cat(denoised)[..., :height, :width].reshape(x.shape))

        return estimate


CHUNK = 1024
"""Patches that take a step together, so that their codes stay in the cache."""
FIRST_THETA, LAST_THETA = 1.0, 0.1
"""Thresholds before training, over the level: they fall as the image gets better."""
INITIAL_NOISE_THRESHOLD = 0.2


@dataclass(frozen=True)
class CsSparseCodingSettings:
    """What fixes the shapes of a `CsSparseCoding` network.

    channels: 1 real, 2 complex images. patch_size: the p of p x p patches. atoms: columns of the dictionary. steps: K.
    knots: levels in [0, 1] at which whatever depends on the level is stored. variance: whether patches are pulled
    towards the average estimate (variance reduction).
    """

    channels: int
    patch_size: int
    atoms: int
    steps: int
    knots: tuple[float, ...]
    variance: bool = False

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> CsSparseCodingSettings:
        """From the settings on a model card. Raises WeightsError if they do not describe a network."""
        given = SettingsReader.of(settings, cls, "cs-sc")
        return cls(
            channels=given.count("channels"),
            patch_size=given.count("patch_size"),
            atoms=given.count("atoms"),
            steps=given.count("steps"),
            knots=given.levels("knots"),
            variance=given.switch("variance"),
        )


class CsSparseCoding(KspaceNetwork):
    """z_k = average over patches of W alpha_i + mu_i 1, with alpha_i the code of the centred patch i, mu_i its mean.

    The patches are those of x_k, or with variance reduction those of x_k + nu_k (z_{k-1} - x_k). Their codes make one
    `gradient_step` from those of the last time, with untied D, C, W, and are soft thresholded: by `SparsePrior`, and
    n_k sigma more where there is noise. Real and imaginary part are coded as two images. Like the Fourier transform,
    patches take an image to be periodic, so that as many cover its border as its middle.

    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4 and table
    1, variance reduction being in its discrete form. There the codes follow the gradient of the data term through the
    average of patches, here the data step is exact.
    """

    MATRICES = ("dictionary", "analysis", "synthesis")

    def __init__(self, settings: CsSparseCodingSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots)
        self.settings = settings
        steps = settings.steps
        self.coding = PatchCoding(settings.patch_size, settings.atoms)
        self.sparse = SparsePrior(settings.atoms, steps, settings.knots)
        self.momentum = nn.Parameter(torch.zeros(steps))
        self.noise_threshold = nn.Parameter(torch.full((steps,), INITIAL_NOISE_THRESHOLD))
        if settings.variance:
            self.feedback = nn.Parameter(torch.zeros(steps))  # nu

    @property
    def patch_size(self) -> int:
        """An image may be smaller than a patch, since it is periodic."""
        return 1

    @property
    def matrices(self) -> tuple[str, ...]:
        """D, C and W."""
        return tuple(f"coding.{name}" for name in self.MATRICES)

    @property
    def repeated(self) -> nn.Module:
        """The coding of patches."""
        return self.coding

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Begin from the numbers of another CS-SC, or D, C, W from the W of a denoiser, divided by its largest
        singular value; False if the shapes do not fit.
        """
        if not isinstance(source, SparseCoding):
            return super().load_compatible_weights(source)
        if source.synthesis.shape != self.coding.synthesis.shape:
            return False
        scaled = source.synthesis / torch.linalg.matrix_norm(source.synthesis, 2)
        self.coding.dictionary.copy_(scaled)
        self.coding.analysis.copy_(scaled.T)
        self.coding.synthesis.copy_(scaled)
        falling = torch.logspace(0, 1, self.steps, LAST_THETA / FIRST_THETA)
        self.sparse.theta.copy_(FIRST_THETA * falling[:, None].expand_as(self.sparse.theta))
        return True

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        more = self.noise_threshold.clamp_min(0)[:, None] * noise
        thresholds = self.sparse.thresholds(level) + more[:, :, None, None]
        last: tuple[Tensor, Tensor, Tensor] | None = None  # z, alpha of the step before, alpha of the one before that

        def estimate(k: int, x: Tensor) -> Estimate:
            nonlocal last
            z, *codes = (None, None, None) if last is None else last
            target = torch.lerp(x, z, self.feedback[k]) if z is not None and self.settings.variance else x
            parts = target.reshape(-1, 1, *x.shape[2:])
            threshold = thresholds[k].repeat_interleave(x.shape[1], 0)
            average, *codes = self.coding(parts, *codes, threshold, self.momentum[k : k + 1], stride)
            last = average.view_as(x), codes[0], codes[1]
            return Estimate(last[0])

        return estimate


class PatchCoding(nn.Module):
    """D, C and W of patches, and one step of the codes of periodic images with them."""

    channels = 1

    def __init__(self, patch_size: int, atoms: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.dictionary = nn.Parameter(torch.zeros(patch_size**2, atoms))  # D
        self.analysis = nn.Parameter(torch.zeros(atoms, patch_size**2))  # C^T
        self.synthesis = nn.Parameter(torch.zeros(patch_size**2, atoms))  # W

    def forward(
        self,
        images: Tensor,
        codes: Tensor | None,
        previous: Tensor | None,
        threshold: Tensor,
        momentum: Tensor,
        stride: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The average of the patch estimates, the codes alpha_k that they are made of, and alpha_{k-1}.

        Args:
            images: what the patches are taken from, [B, 1, H, W].
            codes: alpha_{k-1}, [B, N, p]; None to begin from zero.
            previous: alpha_{k-2}, likewise; overwritten where no gradient is wanted.
            threshold: of alpha_k, [B, 1, p].
            momentum: m_k, [1].
            stride: of the grid of patches.
        """
        height, width = images.shape[-2:]
        rows, cols = (_periodic(side, self.patch_size, stride, images.device) for side in (height, width))
        patches = extract_patches(images[..., rows, :][..., cols], self.patch_size, stride)
        means = patches.mean(2, keepdim=True)
        patches = patches - means
        if codes is None or previous is None:
            made = soft_threshold(torch.matmul(patches, self.analysis.T), threshold)
            codes = made if torch.is_grad_enabled() else made.clone()
        else:
            made = self._step(patches, codes, previous, threshold, momentum)
        estimates = (torch.matmul(self.synthesis, made.mT) + means.mT).mT
        counted = torch.cat([estimates, torch.ones_like(estimates[:1])])
        sums = aggregate_patches(counted, len(rows), len(cols), self.patch_size, stride)
        sums = _added_up(_added_up(sums, rows, height, 2), cols, width, 3)
        return sums[:-1] / sums[-1:], made, codes

    def _step(self, patches: Tensor, codes: Tensor, previous: Tensor, threshold: Tensor, momentum: Tensor) -> Tensor:
        batch = len(patches)
        analysis, dictionary = (matrix.T.expand(batch, -1, -1) for matrix in (self.analysis, self.dictionary))
        operators = Operators(dictionary, analysis, momentum)
        if torch.is_grad_enabled():
            return soft_threshold(gradient_step(0, patches, codes, previous, operators), threshold)
        for start in range(0, patches.shape[1], CHUNK):
            some = slice(start, start + CHUNK)
            soft_threshold(gradient_step(0, patches[:, some], codes[:, some], previous[:, some], operators), threshold)
        return previous


def _periodic(side: int, patch_size: int, stride: int, device: torch.device) -> Tensor:
    """Which of `side` pixels the patches at every `stride`-th one cover, in a row that begins anew where they end."""
    return torch.arange((side - 1) // stride * stride + patch_size, device=device) % side


def _added_up(sums: Tensor, places: Tensor, side: int, dimension: int) -> Tensor:
    """The adjoint of reading `places` of `side` pixels along a dimension."""
    shape = list(sums.shape)
    shape[dimension] = side
    return sums.new_zeros(shape).index_add(dimension, places, sums)


@dataclass(frozen=True)
class CsTvSettings:
    """What fixes the shapes of a `CsTv` network.

    channels: 1 real, 2 complex images. steps: K. knots: levels in [0, 1] at which its numbers are stored.
    """

    channels: int
    steps: int
    knots: tuple[float, ...]

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> CsTvSettings:
        """From the settings on a model card. Raises WeightsError if they do not describe a network."""
        given = SettingsReader.of(settings, cls, "cs-tv")
        return cls(given.count("channels"), given.count("steps"), given.levels("knots"))


class CsTv(KspaceNetwork):
    """z_k, P_k, u_k = S_k(x_k, u_{k-1}),   u_{-1} = 0,   S_k being step k of `SplitVariation`: split Bregman.

    Source: Lecouat, Ponce and Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, section 4, pixel
    reconstruction, for the energy; there each step follows a gradient, here it solves for x. The error tau is one for
    all steps: how large the weights w_k are says the rest.
    """

    def __init__(self, settings: CsTvSettings) -> None:
        super().__init__(settings.channels, settings.steps, settings.knots, errors=1)
        self.settings = settings
        self.variation = SplitVariation(settings.steps, settings.knots)

    @property
    def patch_size(self) -> int:
        """An image may be a single pixel."""
        return 1

    @property
    def repeated(self) -> nn.Module:
        """A step of the prior."""
        return self.variation

    def _prior(self, level: Tensor, noise: Tensor, stride: int) -> Callable[[int, Tensor], Estimate]:
        weights, thresholds = self.variation.numbers(level, noise)
        state: tuple[Tensor, Tensor] | None = None  # u, and the spectra of slopes

        def estimate(k: int, x: Tensor) -> Estimate:
            nonlocal state
            dual, spectra = state or (x.new_zeros(len(NEIGHBOURS), *x.shape), finite_differences_spectra(x, NEIGHBOURS))
            numbers = weights[k], thresholds[k], self.variation.memory[k]
            z, dual, certainty = self.variation(x, dual, spectra, *numbers)
            state = dual, spectra
            return Estimate(z, certainty)

        return estimate
