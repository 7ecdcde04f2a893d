"""Compressed sensing with sparse coding of patches (CS-SC): a step of the codes, their average, the data, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restorekit.models.base import Network
from restorekit.models.cs_network import Estimate, KspaceNetwork
from restorekit.models.settings import SettingsReader
from restorekit.models.sparse_coding import SparseCoding
from restorekit.patches import aggregate_patches, extract_patches
from restorekit.priors.sparse import SparsePrior, soft_threshold
from restorekit.solvers.lista import Operators, gradient_step

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
    def adopt(self, source: Network) -> bool:
        """Begin from the numbers of another CS-SC, or D, C, W from the W of a denoiser, divided by its largest
        singular value; False if the shapes do not fit.
        """
        if not isinstance(source, SparseCoding):
            return super().adopt(source)
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
