"""Trainable sparse coding of patches, alone or together with similar ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn
from typing_extensions import override

from restorekit.models.base import Count, Knots, PatchNetwork, Reconstructor, Steps
from restorekit.numerics import patches as grids
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.numerics.patches import GridBlock, extract_patches
from restorekit.priors import PRIORS
from restorekit.priors.base import Neighbourhood, Thresholds
from restorekit.priors.neighbours import Grid, Neighbours, Similarities
from restorekit.settings import Settings
from restorekit.solvers.proximal_gradient import Operators, gradient_step

CHUNK = 1024
"""Patches that go through their steps together, so that their codes stay in the cache."""
LARGEST_INITIAL_MOMENTUM = 0.6
INITIAL_INTERPOLATED = 0.3
COARSE_STRIDE = 2
"""Patches of the smaller scales lie at least so far apart: only means are read from them."""
HALO = 20
"""Pixels around a tile whose patches count as neighbours of those inside, and as parts of the estimates in between."""


@dataclass(frozen=True)
class SparseCodingSettings(Settings):
    """The shapes of a `SparseCoding` network. channels: 1 grey, 3 RGB. patch_size: the p of p x p patches.

    atoms: columns of the dictionary. steps: K. knots: values of the conditioning, in [0, 1], at which all that depends
    on it is stored. scales: how many halvings of the image help to find the mean of a patch, plus one; 1 is the paper's
    model. prior: a name in `PRIORS`. refresh: the steps before which the estimates are averaged and similarities,
    targets and means renewed. neighbours: how many similar patches count. feedback: whether targets and means learn
    from the renewed estimate (variance reduction). gains: whether C and W have a gain for every atom and knot. masked:
    whether some values of an image may be interpolated, as in a mosaic.
    """

    channels: Count
    patch_size: Count
    atoms: Count
    steps: Count
    knots: Knots
    scales: Count = 1
    prior: str = "sparse"
    refresh: Steps = ()
    neighbours: Annotated[int, Ge(0)] = 0
    feedback: bool = False
    gains: bool = False
    masked: bool = False

    def __post_init__(self) -> None:
        if self.prior not in PRIORS:
            raise ValueError(f"prior: use one of {', '.join(PRIORS)}, not {self.prior!r}")
        if self.refresh and self.refresh[-1] >= self.steps:
            raise ValueError(f"refresh: name steps below {self.steps}")
        if PRIORS[self.prior].uses_neighbours and not (self.refresh and self.neighbours):
            raise ValueError(f"the {self.prior} prior needs refresh and neighbours")


@dataclass(frozen=True)
class CodingParameters:
    """The parameters of a network for the conditioning [B] of a batch.

    synthesis: W^T, [B, p, m]. thresholds: [K, B, 1, p]. prior_numbers: of the prior, [K, ...]. feedback: nu and g,
    [R, B, 1, 1] each. interpolated_weight: w_k, [K].
    """

    conditioning: Tensor
    operators: Operators
    synthesis: Tensor
    thresholds: Tensor
    prior_numbers: Tensor
    feedback: tuple[Tensor, Tensor] | None
    interpolated_weight: Tensor | None


Watcher = Callable[[int, Tensor, Tensor], None]
"""Called with k, the codes alpha_k [B, N, p] and the means [B, N, 1] after each step."""


class PatchRestorer:
    """One run of the algorithm, with `refresh` of its own, over the patches of a window; see `SparseCoding`."""

    targets: Tensor
    means: Tensor
    similarities: Similarities | None = None
    known: Tensor | None = None
    watch: Watcher | None = None

    def __init__(self, network: SparseCoding, parameters: CodingParameters, refresh: Sequence[int], grid: Grid) -> None:
        self.prior, self.similar, self.patch_size = network.nonlocal_prior, network.similar, network.patch_size
        self.parameters, self.refresh, self.grid = parameters, refresh, grid

    def run(self, observed: Tensor, base: Tensor, mask: Tensor | None) -> Tensor:
        """Return estimates of the clean patches, [B, N, m], of the observed window, [B, C, h, w].

        base: the image from which the means of the patches are read, likewise. mask: 1 where a value was observed, 0
        where it was interpolated; None if all were observed.
        """
        patches = self._extract(observed)
        centred = patches - patches.mean(2, keepdim=True)
        first_means = grids.patch_means(base, self.patch_size, self.grid.stride)
        self.known = None if mask is None else self._extract(mask)
        confidence = self._confidence(0, slice(None))
        weighted = centred if confidence is None else centred * confidence
        point = torch.matmul(weighted, self.parameters.operators.analysis)
        self.targets, self.means = centred, first_means
        evidence: Sequence[Tensor] = ()
        bounds = (0, *self.refresh, len(self.parameters.thresholds))
        codes, previous = self._steps(0, bounds[1], point, torch.empty_like(point), evidence)
        for number, (first, last) in enumerate(pairwise(bounds[1:])):
            self._renew(number, codes, centred, first_means, observed.shape)
            for rows in self._chunks(codes.shape[1]):
                point = self._gradient_step(first, codes[:, rows], previous[:, rows], rows)
            if not torch.is_grad_enabled():
                point = previous
            evidence = self.prior.evidence(point, codes, evidence)
            codes, previous = self._steps(first, last, point, codes, evidence)
        return self._estimates(codes)

    def _steps(
        self, first: int, last: int, point: Tensor, codes: Tensor, evidence: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """From z_first = `point`: alpha_last and the code before it, in the memory of `point` and `codes` in turn."""
        for rows in self._chunks(point.shape[1]):
            near = None if self.similarities is None else self.similarities.near(evidence, rows)
            now, before = self._prox(first, point[:, rows], near), codes[:, rows]
            if first == 0:
                before = now if torch.is_grad_enabled() else before.copy_(now)
            for k in range(first + 1, last):
                before, now = now, self._prox(k, self._gradient_step(k, now, before, rows), near)
        if torch.is_grad_enabled():
            return now, before
        return (point, codes) if (last - first) % 2 else (codes, point)

    def _gradient_step(self, k: int, codes: Tensor, previous: Tensor, rows: slice) -> Tensor:
        """Return z_k of the patches `rows`, in the memory of `previous`."""
        operators, confidence = self.parameters.operators, self._confidence(k, rows)
        return gradient_step(k, self.targets[:, rows], codes, previous, operators, confidence)

    def _renew(self, number: int, codes: Tensor, centred: Tensor, first_means: Tensor, shape: torch.Size) -> None:
        """Average the estimates, and renew similarities, targets and means."""
        (height, width), stride = shape[-2:], self.grid.stride
        sums = grids.aggregate_patches(self._estimates(codes), height, width, self.patch_size, stride)
        covered = grids.coverage(height, width, self.patch_size, stride, codes.device)
        patches = self._extract(sums / covered.clamp_min(1))
        new_means = patches.mean(2, keepdim=True)
        patches = patches - new_means
        given = self.parameters
        if self.similar is not None:
            self.similarities = self.similar.update(self.similarities, patches, given.conditioning, self.grid, number)
        if given.feedback is not None:
            self.targets = torch.lerp(centred, patches, given.feedback[0][number])
            self.means = torch.lerp(first_means, new_means, given.feedback[1][number])

    def _estimates(self, codes: Tensor) -> Tensor:
        """Return W alpha_i + mu_i 1, [B, N, m], in the memory layout that suits `aggregate_patches`."""
        return torch.matmul(self.parameters.synthesis.mT, codes.mT).add_(self.means.mT).mT

    def _prox(self, k: int, point: Tensor, near: Neighbourhood | None) -> Tensor:
        codes = self.prior.prox(point, self.parameters.thresholds[k], self.parameters.prior_numbers[k], near)
        if self.watch:
            self.watch(k, codes, self.means)
        return codes

    def _confidence(self, k: int, rows: slice) -> Tensor | None:
        """Return w_k where a value was interpolated, 1 where it was observed."""
        if self.known is None or self.parameters.interpolated_weight is None:
            return None
        known, weight = self.known[:, rows], self.parameters.interpolated_weight[k]
        return known + weight * (1 - known)

    def _chunks(self, patches: int) -> list[slice]:
        """Return slices of the patches; a watcher wants all of them at once."""
        return [slice(None)] if self.watch else chunks(patches)

    def _extract(self, images: Tensor) -> Tensor:
        return extract_patches(images, self.patch_size, self.grid.stride)


class SparseMatrices(nn.Module):
    """The parameters D, C^T and W, called `dictionary`, `analysis` and `synthesis`."""

    def make_matrices(self, dimension: int, atoms: int) -> None:
        """Make them, zero, for patches of so many numbers."""
        self.dictionary = nn.Parameter(torch.zeros(dimension, atoms))
        self.analysis = nn.Parameter(torch.zeros(atoms, dimension))
        self.synthesis = nn.Parameter(torch.zeros(dimension, atoms))

    @torch.no_grad()
    def initialise(self, dictionary: Tensor) -> None:
        """Start all from one dictionary [m, p], divided by its largest singular value (appendix A)."""
        scaled = dictionary / torch.linalg.matrix_norm(dictionary, 2)
        self.dictionary.copy_(scaled)
        self.analysis.copy_(scaled.T)
        self.synthesis.copy_(scaled)


def chunks(patches: int) -> list[slice]:
    """Return slices of so many patches, which go through their steps together; one of all of them for gradients."""
    length = patches if torch.is_grad_enabled() else CHUNK
    return [slice(start, start + length) for start in range(0, patches, length)]


class SparseCoding(SparseMatrices, PatchNetwork):
    """x = average over patches of W alpha_i + mu_i 1, with alpha_i the sparse code of the centred patch y_i.

    The codes come from K steps of `gradient_step`, each followed by the proximal operator of the prior, with untied
    D, C, W and thresholds for every step, atom and knot (Lecouat, Ponce and Mairal, Fully Trainable and Interpretable
    Non-Local Sparse Models, algorithm 1). Before the steps `refresh` the estimates so far are averaged into an image;
    from then on the prior uses the patches that are similar in it, and, with x_i, m_i its centred patches and means,

        y_i <- y_i + nu (x_i - y_i),    mu_i <- mu_i + g (m_i - mu_i)

    where y_i, mu_i are those of the observed image and nu, g are learned: the variance reduction of Lecouat, Ponce and
    Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 1, in its discrete form.

    The papers keep the noisy mean of the patch, so that the noise of the lowest frequencies passes untouched (at
    sigma 50 it is a tenth of the whole error). Here the same network, without neighbours, first denoises the image at
    half the size, where the noise is half as strong, and the first means are those of y - g(sigma) up(y_half - x_half):
    y without the noise that was found there. `scales` = 1 leaves the means as they are. In a mosaic the values that
    were not observed come interpolated, and count w_k instead of 1 in the data term of step k; w_k = 0 would be eq. 16
    of the first paper.
    """

    matrices = ("dictionary", "analysis", "synthesis")

    def __init__(self, settings: SparseCodingSettings) -> None:
        super().__init__()
        self.settings, self.channels, self.patch_size = settings, settings.channels, settings.patch_size
        knots, steps, refreshes = len(settings.knots), settings.steps, len(settings.refresh)
        dimension = settings.channels * settings.patch_size**2
        self.halo = HALO if settings.refresh else 0
        self.bytes_per_patch = 4 * (5 * settings.atoms + 6 * dimension)  # five sets of codes and six of patches
        self.make_matrices(dimension, settings.atoms)
        self.prior = Thresholds(steps, settings.atoms, settings.knots)
        # FISTA's momentum (k - 1) / (k + 2), limited for stable training.
        number = torch.arange(steps, dtype=torch.float32)
        self.momentum = nn.Parameter(((number - 1) / (number + 2)).clamp(0, LARGEST_INITIAL_MOMENTUM))
        self.interpolate = LevelInterpolation(settings.knots)
        if settings.scales > 1:
            self.low_pass_gain = nn.Parameter(torch.full((knots, settings.scales - 1), 0.8))
        self.nonlocal_prior = PRIORS[settings.prior](steps, settings.atoms, settings.knots)
        self.similar: Neighbours | None = None
        if self.nonlocal_prior.uses_neighbours:
            self.similar = Neighbours(dimension, settings.neighbours, refreshes, settings.knots)
        if settings.feedback:
            self.target_feedback = nn.Parameter(torch.zeros(knots, refreshes))
            self.mean_feedback = nn.Parameter(torch.zeros(knots, refreshes))
        if settings.gains:
            self.analysis_gain = nn.Parameter(torch.ones(knots, settings.atoms))
            self.synthesis_gain = nn.Parameter(torch.ones(knots, settings.atoms))
        if settings.masked:
            self.interpolated_weight = nn.Parameter(torch.full((steps,), INITIAL_INTERPOLATED))

    @override
    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Copy the parameters of another network, interpolated where knots differ; return False if shapes do not fit.

        Parameters that only one of the two networks has are left alone.
        """
        if not isinstance(source, SparseCoding):
            return False
        of_prior = (f"nonlocal_prior.{name}" for name in self.nonlocal_prior.at_no_knots)
        at_no_knots = {*self.matrices, "momentum", "similar.kappa", "similar.nu", "interpolated_weight", *of_prior}
        own, knots = self.state_dict(), self.interpolate.knots
        for name, tensor in source.state_dict().items():
            if name not in own:
                continue
            if name not in at_no_knots and self.settings.knots != source.settings.knots:
                tensor = source.interpolate(tensor, knots)
            if own[name].shape != tensor.shape:
                return False
            own[name].copy_(tensor)
        return True

    @override
    def forward(
        self,
        observed: Tensor,
        conditioning: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
        scale: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Restore images at 1 / 2^scale of their size; where it is above 0 only means are read, without neighbours."""
        (height, width), patch_size = observed.shape[-2:], self.patch_size
        parameters = self._coding_parameters(conditioning)
        coarse_noise = self._coarse_noise(observed, conditioning, stride, tile_size, scale)
        refresh = self.settings.refresh if scale == 0 else ()
        rows, cols = grids.grid_shape(height, width, patch_size, stride)
        if refresh and tile_size is not None:
            # Neighbours are searched for on one regular grid: the last tiles are padded until it covers the image.
            height, width = (grids.regular_length(side, patch_size, stride) for side in (height, width))

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(-(-self.halo // stride), height, width, patch_size) if refresh else block
            window, size = (..., *outer.window(patch_size)), outer.window_size(patch_size)
            pixels = observed[window]
            base = pixels if coarse_noise is None else pixels - _upsampled(coarse_noise, outer.top, outer.left, pixels)
            known = None if mask is None else _filled(mask[window], size)
            pixels, base = _filled(pixels, size), _filled(base, size)
            grid = Grid(outer.rows, outer.cols, stride)
            inner = block.within(outer, PatchRestorer(self, parameters, refresh, grid).run(pixels, base, known))
            size = block.window_size(patch_size)
            sums = grids.aggregate_patches(inner, *size, patch_size, stride)
            covered = grids.coverage(*size, patch_size, stride, observed.device)
            below, beyond = observed.shape[-2] - block.top, observed.shape[-1] - block.left
            return sums[..., :below, :beyond], covered[:below, :beyond]

        if tile_size is None:
            sums, covered = restore(GridBlock(0, 0, rows, cols, stride))
            short = (0, width - sums.shape[-1], 0, height - sums.shape[-2])
            return F.pad(sums, short), F.pad(covered, short)
        blocks = grids.grid_blocks(height, width, patch_size, stride, tile_size)
        return grids.accumulate_blocks(restore, blocks, patch_size, like=observed)

    def synthesis_at(self, conditioning: Tensor) -> Tensor:
        """Return W^T with its gains, whose rows the estimates are sums of: [B] -> [B, p, m]."""
        synthesis = self.synthesis.T.expand(conditioning.shape[0], -1, -1)
        if self.settings.gains:
            synthesis = self.interpolate(self.synthesis_gain, conditioning)[:, :, None] * synthesis
        return synthesis

    def watched(
        self, observed: Tensor, conditioning: Tensor, stride: int, watch: Watcher, mask: Tensor | None = None
    ) -> PatchRestorer:
        """Run the regular grid of patches at once, as `forward` does one tile; return the run with its similarities."""
        height, width = observed.shape[-2:]
        noise = self._coarse_noise(observed, conditioning, stride, max(height, width), scale=0)
        base = observed if noise is None else observed - _upsampled(noise, 0, 0, observed)
        grid = Grid(*grids.grid_shape(height, width, self.patch_size, stride), stride)
        run = PatchRestorer(self, self._coding_parameters(conditioning), self.settings.refresh, grid)
        run.watch = watch
        run.run(observed, base, mask)
        return run

    def _coarse_noise(
        self, observed: Tensor, conditioning: Tensor, stride: int, tile_size: int | None, scale: int
    ) -> Tensor | None:
        """Return g(sigma) (y_half - x_half), or None where there is no smaller scale."""
        if scale + 1 >= self.settings.scales or min(observed.shape[-2:]) < 2 * self.patch_size:
            return None
        coarse = F.avg_pool2d(observed, 2, ceil_mode=True, count_include_pad=False)
        sums, covered = self.forward(coarse, conditioning / 2, max(stride, COARSE_STRIDE), tile_size, None, scale + 1)
        gain = self.interpolate(self.low_pass_gain, conditioning)[:, scale, None, None, None]
        # Where nothing was coded (covered = 0) no noise is known.
        noise: Tensor = gain * (covered > 0) * (coarse - sums / covered.clamp_min(1))
        return noise

    def _coding_parameters(self, conditioning: Tensor) -> CodingParameters:
        settings, batch, feedback = self.settings, conditioning.shape[0], None
        analysis = self.analysis.T.expand(batch, -1, -1)
        if settings.gains:
            analysis = analysis * self.interpolate(self.analysis_gain, conditioning)[:, None, :]
        if settings.feedback:
            both = (self.interpolate(values, conditioning) for values in (self.target_feedback, self.mean_feedback))
            nu, g = (values.T[:, :, None, None] for values in both)
            feedback = nu, g
        return CodingParameters(
            conditioning,
            Operators(self.dictionary.T.expand(batch, -1, -1), analysis, self.momentum),
            self.synthesis_at(conditioning),
            self.prior(conditioning),
            self.nonlocal_prior.numbers(conditioning),
            feedback,
            self.interpolated_weight if settings.masked else None,
        )


def _filled(window: Tensor, size: tuple[int, int]) -> Tensor:
    """Extend a window that is cut short by the end of the image to its `size`, by its mirror image."""
    short = size[1] - window.shape[-1], size[0] - window.shape[-2]
    return F.pad(window, (0, short[0], 0, short[1]), mode="reflect") if any(short) else window


def _upsampled(coarse: Tensor, top: int, left: int, like: Tensor) -> Tensor:
    """Enlarge `coarse` twice by repetition, and return its window at pixel (`top`, `left`) of the size of `like`."""
    height, width = like.shape[-2:]
    window = coarse[..., top // 2 : (top + height + 1) // 2, left // 2 : (left + width + 1) // 2]
    enlarged = window.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return enlarged[..., top % 2 : top % 2 + height, left % 2 : left % 2 + width]
