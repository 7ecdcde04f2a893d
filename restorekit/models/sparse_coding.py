"""Trainable sparse coding (SC) of patches, coarse to fine: one set of dictionaries for every noise level and scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.knots import KnotInterpolation
from restorekit.models.base import Denoiser
from restorekit.patches import aggregate_patches, coverage, extract_patches, patch_means
from restorekit.priors.sparse import SparsePrior, soft_threshold, soft_threshold_
from restorekit.solvers.lista import lista, lista_in_place
from restorekit.tiling import accumulate_blocks, grid_blocks

LARGEST_INITIAL_MOMENTUM = 0.6


@dataclass(frozen=True)
class SparseCodingSettings:
    """What fixes the shapes of a `SparseCoding` network.

    channels: 1 grey, 3 RGB. patch_size: the p of p x p patches. atoms: columns of the dictionary. steps: K.
    knots: noise levels in [0, 1] at which the thresholds are stored. scales: how many halvings of the image help to
    find the mean of a patch, plus one; 1 is the paper's model.
    """

    channels: int
    patch_size: int
    atoms: int
    steps: int
    knots: tuple[float, ...]
    scales: int


class SparseCoding(Denoiser):
    """x = average over patches of W alpha_i + mu_i 1, with alpha_i the sparse code of the centred patch y_i.

    The codes come from K steps of `lista` with untied D, C, W and thresholds for every step, atom and noise level
    (Lecouat, Ponce and Mairal, Fully Trainable and Interpretable Non-Local Sparse Models, eq. 3, 5 and 6).

    The paper adds back the noisy mean of the patch, so that the noise of the lowest frequencies passes untouched (at
    sigma 50 it is a tenth of the whole error). Here the same network first denoises the image at half the size, where
    the noise is half as strong, and the means are those of y - g(sigma) up(y_half - x_half): y without the noise that
    was found there. `scales` = 1 leaves the means as they are.
    """

    MATRICES = ("dictionary", "analysis", "synthesis")
    """The parameters that are matrices applied to patches and codes; the others are thresholds, momenta and gains."""

    def __init__(self, settings: SparseCodingSettings) -> None:
        super().__init__()
        self.settings = settings
        dimension = settings.channels * settings.patch_size**2
        self.dictionary = nn.Parameter(torch.zeros(dimension, settings.atoms))  # D
        self.analysis = nn.Parameter(torch.zeros(settings.atoms, dimension))  # C^T
        self.synthesis = nn.Parameter(torch.zeros(dimension, settings.atoms))  # W
        self.prior = SparsePrior(settings.atoms, settings.steps, settings.knots)
        # FISTA's momentum (k - 1) / (k + 2), stopped short of 1 for the sake of stable training.
        steps = torch.arange(settings.steps, dtype=torch.float32)
        self.momentum = nn.Parameter(((steps - 1) / (steps + 2)).clamp(0, LARGEST_INITIAL_MOMENTUM))
        self.interpolate = KnotInterpolation(settings.knots)
        self.low_pass_gain = nn.Parameter(torch.full((len(settings.knots), settings.scales - 1), 0.8))

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.settings.channels

    @property
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""
        return self.settings.patch_size

    @property
    def tile_bytes_per_pixel(self) -> int:
        """Working memory that one pixel of a tile costs at stride 1, in bytes: some five sets of codes and patches."""
        return 4 * (5 * self.settings.atoms + 5 * self.dictionary.shape[0])

    @torch.no_grad()
    def initialise(self, dictionary: Tensor) -> None:
        """Start D, C and W from one dictionary [m, p], divided by its largest singular value (appendix A)."""
        scaled = dictionary / torch.linalg.matrix_norm(dictionary, 2)
        self.dictionary.copy_(scaled)
        self.analysis.copy_(scaled.T)
        self.synthesis.copy_(scaled)

    def forward(
        self, noisy: Tensor, sigma: Tensor, stride: int = 1, tile_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Code the patches of `noisy`; see `Denoiser.forward`."""
        return self._estimate(noisy, sigma, stride, tile_size, scale=0)

    def _estimate(
        self, noisy: Tensor, sigma: Tensor, stride: int, tile_size: int | None, scale: int
    ) -> tuple[Tensor, Tensor]:
        height, width = noisy.shape[-2:]
        patch_size = self.settings.patch_size
        thresholds = self.prior.thresholds(sigma)
        coarse_noise = None
        if scale + 1 < self.settings.scales and min(height, width) >= 2 * patch_size:
            coarse = F.avg_pool2d(noisy, 2, ceil_mode=True, count_include_pad=False)
            sums, covered = self._estimate(coarse, sigma / 2, stride, tile_size, scale + 1)
            gain = self.interpolate(self.low_pass_gain, sigma)[:, scale, None, None, None]
            # Where nothing was coded (covered = 0) no noise is known.
            coarse_noise = gain * (covered > 0) * (coarse - sums / covered.clamp_min(1))

        def code(rows: slice, cols: slice) -> tuple[Tensor, Tensor]:
            pixels = noisy[..., rows, cols]
            base = pixels if coarse_noise is None else pixels - _upsampled(coarse_noise, rows, cols)
            return self._code_patches(pixels, base, thresholds, stride)

        if tile_size is None:
            return code(slice(0, height), slice(0, width))
        blocks = grid_blocks(height, width, patch_size, stride, tile_size)
        return accumulate_blocks(lambda block: code(*block.window(patch_size)), blocks, patch_size, like=noisy)

    def _code_patches(self, noisy: Tensor, base: Tensor, thresholds: Tensor, stride: int) -> tuple[Tensor, Tensor]:
        """Code the patches of `noisy`, centred, and give them the means of `base`."""
        height, width = noisy.shape[-2:]
        patch_size = self.settings.patch_size
        patches = extract_patches(noisy, patch_size, stride)
        patches = patches - patches.mean(1, keepdim=True)
        # What is to be differentiated must not be overwritten.
        solve, shrink = (lista, soft_threshold) if torch.is_grad_enabled() else (lista_in_place, soft_threshold_)
        codes = solve(
            patches,
            self.dictionary,
            self.analysis,
            self.momentum,
            lambda step, point: shrink(point, thresholds[step]),
        )
        estimates = torch.matmul(self.synthesis, codes) + patch_means(base, patch_size, stride)
        sums = aggregate_patches(estimates, height, width, patch_size, stride)
        return sums, coverage(height, width, patch_size, stride, noisy.device)


def _upsampled(coarse: Tensor, rows: slice, cols: slice) -> Tensor:
    """The window `rows` x `cols` of `coarse` enlarged twice by repetition."""
    top, left = rows.start // 2, cols.start // 2
    window = coarse[..., top : (rows.stop + 1) // 2, left : (cols.stop + 1) // 2]
    enlarged = window.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return enlarged[..., rows.start - 2 * top : rows.stop - 2 * top, cols.start - 2 * left : cols.stop - 2 * left]
