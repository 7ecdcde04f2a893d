"""What fixes the shapes of a sparse-coding network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.errors import WeightsError
from restorekit.models.base import PatchNetwork, Reconstructor
from restorekit.models.settings import SettingsReader
from restorekit.numerics.level_interpolation import LevelInterpolation
from restorekit.numerics.patches import (
    GridBlock,
    accumulate_blocks,
    aggregate_patches,
    coverage,
    extract_patches,
    grid_blocks,
    grid_shape,
    patch_means,
    regular_length,
)
from restorekit.priors.centralised import CentralisedPrior
from restorekit.priors.group import GroupPrior
from restorekit.priors.neighbours import Grid, Neighbours, Similarities
from restorekit.priors.sparse import SparsePrior, soft_threshold
from restorekit.solvers.proximal_gradient import Operators, gradient_step

PRIORS = ("sparse", "group", "centralised")


@dataclass(frozen=True)
class SparseCodingSettings:
    """What fixes the shapes of a `SparseCoding` network.

    channels: 1 grey, 3 RGB. patch_size: the p of p x p patches. atoms: columns of the dictionary. steps: K.
    knots: levels in [0, 1] at which whatever depends on the level is stored. scales: how many halvings of the image
    help to find the mean of a patch, plus one; 1 is the paper's model.
    prior: "sparse" (SC), "group" (GroupSC) or "centralised" (CSR). refresh: the steps before which the estimates are
    averaged and similarities and targets renewed. neighbours: how many similar patches count. feedback: whether targets
    and means learn from the renewed estimate (variance reduction). gains: whether C and W have a gain for every atom
    and level. masked: whether some values of an image may be interpolated, as in a mosaic.
    """

    channels: int
    patch_size: int
    atoms: int
    steps: int
    knots: tuple[float, ...]
    scales: int = 1
    prior: str = "sparse"
    refresh: tuple[int, ...] = ()
    neighbours: int = 0
    feedback: bool = False
    gains: bool = False
    masked: bool = False

    @classmethod
    def parse(cls, settings: Mapping[str, object]) -> SparseCodingSettings:
        """From the settings on a model card.

        Raises:
            WeightsError: they do not describe a network.
        """
        given = SettingsReader.of(settings, cls, "sparse-coding")
        made = cls(
            channels=given.count("channels"),
            patch_size=given.count("patch_size"),
            atoms=given.count("atoms"),
            steps=given.count("steps"),
            knots=given.levels("knots"),
            scales=given.count("scales", 1),
            prior=given.choice("prior", PRIORS),
            refresh=given.steps("refresh"),
            neighbours=given.count("neighbours", 0),
            feedback=given.switch("feedback"),
            gains=given.switch("gains"),
            masked=given.switch("masked"),
        )
        if made.refresh and made.refresh[-1] >= made.steps:
            raise WeightsError(f"setting refresh of a sparse-coding model must name steps below {made.steps}")
        if made.prior != "sparse" and not (made.refresh and made.neighbours):
            raise WeightsError(
                f"a sparse-coding model with the {made.prior} prior needs the settings refresh and neighbours"
            )
        return made


CHUNK = 1024
"""Patches that go through their steps together, so that their codes stay in the cache."""


@dataclass(frozen=True)
class Numbers:
    """What a network has learned, at the levels [B] of a batch.

    synthesis: W^T, [B, p, m]. thresholds: [K, B, 1, p]. nonlocal_numbers: of the non-local prior, [K, ...].
    target_feedback, mean_feedback: nu and g, [R, B, 1, 1]. interpolated_weight: w_k, [K].
    """

    level: Tensor
    operators: Operators
    synthesis: Tensor
    thresholds: Tensor
    nonlocal_numbers: Tensor | None
    target_feedback: Tensor | None
    mean_feedback: Tensor | None
    interpolated_weight: Tensor | None


@dataclass(frozen=True)
class Priors:
    """What patches are drawn to once similar ones are known; None and None for soft thresholding throughout."""

    prior: GroupPrior | CentralisedPrior | None
    similar: Neighbours | None


Watcher = Callable[[int, Tensor, Tensor], None]
"""Called with k, the codes alpha_k [B, N, p] and the means [B, N, 1] after each step."""


class PatchRestorer:
    """One run of the algorithm over the patches of a window; see `SparseCoding` for the formulas.

    Args:
        numbers: of the network.
        priors: likewise.
        refresh: the steps before which estimates are averaged and similarities, targets and means renewed.
        patch_size: of the network.
        grid: of the patches.
        watch: told of every step.
    """

    def __init__(
        self,
        numbers: Numbers,
        priors: Priors,
        refresh: tuple[int, ...],
        patch_size: int,
        grid: Grid,
        watch: Watcher | None = None,
    ) -> None:
        self.numbers, self.priors, self.refresh = numbers, priors, refresh
        self.patch_size, self.grid, self.watch = patch_size, grid, watch
        self.similarities: Similarities | None = None
        self.known: Tensor | None = None

    def run(self, observed: Tensor, base: Tensor, mask: Tensor | None) -> Tensor:
        """Estimates of the clean patches, [B, N, m].

        Args:
            observed: the window, [B, C, h, w].
            base: what the means of the patches are read from, likewise.
            mask: 1 where a value was observed, 0 where it was interpolated; None if all were observed.
        """
        patches = self._extract(observed)
        centred = patches - patches.mean(2, keepdim=True)
        first_means = patch_means(base, self.patch_size, self.grid.stride)
        self.known = None if mask is None else self._extract(mask)
        confidence = self._confidence(0, slice(None))
        point = torch.matmul(centred if confidence is None else centred * confidence, self.numbers.operators.analysis)
        targets, means, evidence = centred, first_means, None
        prior = self.priors.prior
        bounds = (0, *self.refresh, len(self.numbers.thresholds))
        codes, previous = self._steps(0, bounds[1], targets, point, torch.empty_like(point), None, means)
        for number, (first, last) in enumerate(pairwise(bounds[1:])):
            targets, means = self._renewed(number, codes, means, centred, first_means, observed.shape)
            point = self._gradient_step(first, targets, codes, previous)
            evidence = None if prior is None else prior.evidence(point, codes, evidence)
            codes, previous = self._steps(first, last, targets, point, codes, evidence, means)
        return self._estimates(codes, means)

    def _steps(
        self,
        first: int,
        last: int,
        targets: Tensor,
        point: Tensor,
        codes: Tensor,
        evidence: Sequence[Tensor] | None,
        means: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """From z_first = `point`: alpha_last and the code before it, in the memory of `point` and `codes` in turn."""
        for rows in self._chunks(point.shape[1]):
            averages = self._averages(evidence, rows)
            now, before = self._prox(first, point[:, rows], averages, rows), codes[:, rows]
            if first == 0:
                before = now if torch.is_grad_enabled() else before.copy_(now)
            self._tell(first, now, means)
            for k in range(first + 1, last):
                confidence = self._confidence(k, rows)
                step = gradient_step(k, targets[:, rows], now, before, self.numbers.operators, confidence)
                before, now = now, self._prox(k, step, averages, rows)
                self._tell(k, now, means)
        if torch.is_grad_enabled():
            return now, before
        return (point, codes) if (last - first) % 2 else (codes, point)

    def _gradient_step(self, k: int, targets: Tensor, codes: Tensor, previous: Tensor) -> Tensor:
        """z_k of all patches, in the memory of `previous`."""
        for rows in self._chunks(codes.shape[1]):
            confidence = self._confidence(k, rows)
            point = gradient_step(
                k, targets[:, rows], codes[:, rows], previous[:, rows], self.numbers.operators, confidence
            )
        return point if torch.is_grad_enabled() else previous

    def _renewed(
        self, number: int, codes: Tensor, means: Tensor, centred: Tensor, first_means: Tensor, shape: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """Targets and means after the estimates have been averaged; the similarities are renewed too."""
        height, width = shape[-2:]
        sums = aggregate_patches(self._estimates(codes, means), height, width, self.patch_size, self.grid.stride)
        covered = coverage(height, width, self.patch_size, self.grid.stride, codes.device)
        patches = self._extract(sums / covered.clamp_min(1))
        new_means = patches.mean(2, keepdim=True)
        patches = patches - new_means
        if self.priors.similar is not None:
            self.similarities = self.priors.similar.update(
                self.similarities, patches, self.numbers.level, self.grid, number
            )
        if self.numbers.target_feedback is None or self.numbers.mean_feedback is None:
            return centred, first_means
        targets = torch.lerp(centred, patches, self.numbers.target_feedback[number])
        return targets, torch.lerp(first_means, new_means, self.numbers.mean_feedback[number])

    def _estimates(self, codes: Tensor, means: Tensor) -> Tensor:
        """W alpha_i + mu_i 1, [B, N, m], laid out in memory as `aggregate_patches` likes it."""
        return torch.matmul(self.numbers.synthesis.mT, codes.mT).add_(means.mT).mT

    def _averages(self, evidence: Sequence[Tensor] | None, rows: slice) -> list[Tensor] | None:
        """What the non-local prior goes by, averaged over similar patches."""
        if evidence is None or self.similarities is None:
            return None
        return [self.similarities.average(values, rows) for values in evidence]

    def _prox(self, k: int, point: Tensor, averages: list[Tensor] | None, rows: slice) -> Tensor:
        prior, threshold = self.priors.prior, self.numbers.thresholds[k]
        if prior is None or averages is None or self.similarities is None or self.numbers.nonlocal_numbers is None:
            return soft_threshold(point, threshold)
        own, numbers = self.similarities.own[:, rows], self.numbers.nonlocal_numbers[k]
        return prior.prox(point, threshold, averages, own, numbers)

    def _confidence(self, k: int, rows: slice) -> Tensor | None:
        """w_k where a value was interpolated, 1 where it was observed."""
        if self.known is None or self.numbers.interpolated_weight is None:
            return None
        known, weight = self.known[:, rows], self.numbers.interpolated_weight[k]
        return known + weight * (1 - known)

    def _chunks(self, patches: int) -> list[slice]:
        """Slices of the patches; one of all of them where gradients or a watcher want it."""
        if torch.is_grad_enabled() or self.watch is not None:
            return [slice(None)]
        return [slice(start, start + CHUNK) for start in range(0, patches, CHUNK)]

    def _extract(self, images: Tensor) -> Tensor:
        return extract_patches(images, self.patch_size, self.grid.stride)

    def _tell(self, k: int, codes: Tensor, means: Tensor) -> None:
        if self.watch is not None:
            self.watch(k, codes, means)


LARGEST_INITIAL_MOMENTUM = 0.6
INITIAL_INTERPOLATED = 0.3
COARSE_STRIDE = 2
"""Patches of the smaller scales lie at least so far apart: only means are read from them."""
HALO = 20
"""Pixels around a tile whose patches count as neighbours of those inside, and as parts of the estimates in between."""


class SparseCoding(PatchNetwork):
    """x = average over patches of W alpha_i + mu_i 1, with alpha_i the sparse code of the centred patch y_i.

    The codes come from K steps of `gradient_step`, each followed by the proximal operator of the prior, with untied
    D, C, W and thresholds for every step, atom and level (Lecouat, Ponce and Mairal, Fully Trainable and Interpretable
    Non-Local Sparse Models, algorithm 1). Before the steps `refresh` the estimates so far are averaged into an image;
    from then on the prior looks at patches that are similar in it, and, with x_i, m_i its centred patches and means,

        y_i <- y_i + nu (x_i - y_i),    mu_i <- mu_i + g (m_i - mu_i)

    where y_i, mu_i are those of the observed image and nu, g are learned: the variance reduction of Lecouat, Ponce and
    Mairal, Trainable Priors with Adaptive Smoothing and Game Encoding, table 1, in its discrete form.

    The papers keep the noisy mean of the patch, so that the noise of the lowest frequencies passes untouched (at
    sigma 50 it is a tenth of the whole error). Here the same network, without neighbours, first denoises the image at half
    the size, where the noise is half as strong, and the first means are those of y - g(sigma) up(y_half - x_half): y
    without the noise that was found there. `scales` = 1 leaves the means as they are.

    In a mosaic the values that were not observed come interpolated, and count w_k instead of 1 in the data term of step
    k; w_k = 0 would be eq. 16 of the first paper.
    """

    MATRICES = ("dictionary", "analysis", "synthesis")
    """The parameters that are matrices applied to patches and codes; the others are thresholds, momenta and gains."""
    LEVELLESS = (*MATRICES, "momentum", "similar.kappa", "similar.nu", "interpolated_weight")
    """The parameters that are the same at all levels; the others are stored at knots, their first dimension."""

    def __init__(self, settings: SparseCodingSettings) -> None:
        super().__init__()
        self.settings = settings
        knots, steps, refreshes = len(settings.knots), settings.steps, len(settings.refresh)
        dimension = settings.channels * settings.patch_size**2
        self.dictionary = nn.Parameter(torch.zeros(dimension, settings.atoms))  # D
        self.analysis = nn.Parameter(torch.zeros(settings.atoms, dimension))  # C^T
        self.synthesis = nn.Parameter(torch.zeros(dimension, settings.atoms))  # W
        self.prior = SparsePrior(settings.atoms, steps, settings.knots)
        # FISTA's momentum (k - 1) / (k + 2), stopped short of 1 for the sake of stable training.
        number = torch.arange(steps, dtype=torch.float32)
        self.momentum = nn.Parameter(((number - 1) / (number + 2)).clamp(0, LARGEST_INITIAL_MOMENTUM))
        self.interpolate = LevelInterpolation(settings.knots)
        if settings.scales > 1:
            self.low_pass_gain = nn.Parameter(torch.full((knots, settings.scales - 1), 0.8))
        self.nonlocal_prior: GroupPrior | CentralisedPrior | None = None
        self.similar: Neighbours | None = None
        if settings.prior != "sparse":
            prior = GroupPrior if settings.prior == "group" else CentralisedPrior
            self.nonlocal_prior = prior(steps, settings.knots)
            self.similar = Neighbours(dimension, settings.neighbours, refreshes, settings.knots)
        if settings.feedback:
            self.target_feedback = nn.Parameter(torch.zeros(knots, refreshes))
            self.mean_feedback = nn.Parameter(torch.zeros(knots, refreshes))
        if settings.gains:
            self.analysis_gain = nn.Parameter(torch.ones(knots, settings.atoms))
            self.synthesis_gain = nn.Parameter(torch.ones(knots, settings.atoms))
        if settings.masked:
            self.interpolated_weight = nn.Parameter(torch.full((steps,), INITIAL_INTERPOLATED))

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for RGB."""
        return self.settings.channels

    @property
    def patch_size(self) -> int:
        """The least height and width of an image it takes, in pixels."""
        return self.settings.patch_size

    @property
    def matrices(self) -> tuple[str, ...]:
        """The names of the parameters that are matrices."""
        return self.MATRICES

    @property
    def halo(self) -> int:
        """How far around a tile it looks, in pixels; 0 if each patch is restored by itself."""
        return HALO if self.settings.refresh else 0

    @property
    def bytes_per_patch(self) -> int:
        """Working memory that one patch of a tile costs: some five sets of codes and six of patches."""
        return 4 * (5 * self.settings.atoms + 6 * self.dictionary.shape[0])

    @torch.no_grad()
    def initialise(self, dictionary: Tensor) -> None:
        """Start D, C and W from one dictionary [m, p], divided by its largest singular value (appendix A)."""
        scaled = dictionary / torch.linalg.matrix_norm(dictionary, 2)
        self.dictionary.copy_(scaled)
        self.analysis.copy_(scaled.T)
        self.synthesis.copy_(scaled)

    @torch.no_grad()
    def load_compatible_weights(self, source: Reconstructor) -> bool:
        """Take over the numbers of another network, interpolated where knots differ; False if the shapes do not fit.

        What only this network has stays as it is, what only the source has is left out.
        """
        if not isinstance(source, SparseCoding):
            return False
        own, levels = self.state_dict(), self.interpolate.knots
        for name, tensor in source.state_dict().items():
            if name not in own:
                continue
            if name not in self.LEVELLESS and self.settings.knots != source.settings.knots:
                tensor = source.interpolate(tensor, levels)
            if own[name].shape != tensor.shape:
                return False
            own[name].copy_(tensor)
        return True

    def forward(
        self,
        observed: Tensor,
        level: Tensor,
        stride: int = 1,
        tile_size: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Restore the patches of `observed`; see `PatchNetwork.forward`."""
        return self._estimate(observed, level, stride, tile_size, mask, scale=0)

    def synthesis_at(self, level: Tensor) -> Tensor:
        """W^T with its gains, whose rows the estimates are sums of: levels [B] -> [B, p, m]."""
        synthesis = self.synthesis.T.expand(level.shape[0], -1, -1)
        if not self.settings.gains:
            return synthesis
        gain: Tensor = self.interpolate(self.synthesis_gain, level)
        return gain[:, :, None] * synthesis

    def watched(
        self, observed: Tensor, level: Tensor, stride: int, watch: Watcher, mask: Tensor | None = None
    ) -> PatchRestorer:
        """Restore the regular grid of patches in one go, as `forward` does one tile, and tell `watch` of every step.

        Returns:
            The run, which keeps the numbers it went by and the similarities it ended with.
        """
        height, width = observed.shape[-2:]
        noise = self._coarse_noise(observed, level, stride, max(height, width), scale=0)
        base = observed if noise is None else observed - _upsampled(noise, slice(0, height), slice(0, width))
        grid = Grid(*grid_shape(height, width, self.patch_size, stride), stride)
        run = PatchRestorer(self._numbers(level), self._priors, self.settings.refresh, self.patch_size, grid, watch)
        run.run(observed, base, mask)
        return run

    def _estimate(
        self, observed: Tensor, level: Tensor, stride: int, tile_size: int | None, mask: Tensor | None, scale: int
    ) -> tuple[Tensor, Tensor]:
        height, width = observed.shape[-2:]
        patch_size = self.patch_size
        numbers = self._numbers(level)
        coarse_noise = self._coarse_noise(observed, level, stride, tile_size, scale)
        refresh = self.settings.refresh if scale == 0 else ()
        rows, cols = grid_shape(height, width, patch_size, stride)
        if refresh and tile_size is not None:
            # Peers are looked for on one regular grid: the last tiles are padded until it covers all of the image.
            height, width = (regular_length(side, patch_size, stride) for side in (height, width))

        def restore(block: GridBlock) -> tuple[Tensor, Tensor]:
            outer = block.grown(-(-self.halo // stride), height, width, patch_size) if refresh else block
            window = _within(outer.window(patch_size), observed)
            pixels = observed[..., window[0], window[1]]
            base = pixels if coarse_noise is None else pixels - _upsampled(coarse_noise, *window)
            known = None if mask is None else mask[..., window[0], window[1]]
            size = outer.window_size(patch_size)
            pixels, base, known = (
                _filled(pixels, size),
                _filled(base, size),
                None if known is None else _filled(known, size),
            )
            grid = Grid(outer.rows, outer.cols, stride)
            priors = self._priors if refresh else Priors(None, None)
            estimates = PatchRestorer(numbers, priors, refresh, patch_size, grid).run(pixels, base, known)
            inner = block.within(outer, estimates)
            size = block.window_size(patch_size)
            sums = aggregate_patches(inner, *size, patch_size, stride)
            covered = coverage(*size, patch_size, stride, observed.device)
            below, beyond = observed.shape[-2] - block.top, observed.shape[-1] - block.left
            return sums[..., :below, :beyond], covered[:below, :beyond]

        if tile_size is None:
            whole = GridBlock(0, 0, rows, cols, stride)
            sums, covered = restore(whole)
            short = (0, width - sums.shape[-1], 0, height - sums.shape[-2])
            return F.pad(sums, short), F.pad(covered, short)
        blocks = grid_blocks(height, width, patch_size, stride, tile_size)
        return accumulate_blocks(restore, blocks, patch_size, like=observed)

    def _coarse_noise(
        self, observed: Tensor, level: Tensor, stride: int, tile_size: int | None, scale: int
    ) -> Tensor | None:
        """g(sigma) (y_half - x_half), or None where there is no smaller scale."""
        if scale + 1 >= self.settings.scales or min(observed.shape[-2:]) < 2 * self.patch_size:
            return None
        coarse = F.avg_pool2d(observed, 2, ceil_mode=True, count_include_pad=False)
        sums, covered = self._estimate(coarse, level / 2, max(stride, COARSE_STRIDE), tile_size, None, scale + 1)
        gain = self.interpolate(self.low_pass_gain, level)[:, scale, None, None, None]
        # Where nothing was coded (covered = 0) no noise is known.
        noise: Tensor = gain * (covered > 0) * (coarse - sums / covered.clamp_min(1))
        return noise

    def _numbers(self, level: Tensor) -> Numbers:
        settings = self.settings

        def of_refreshes(values: Tensor) -> Tensor:
            at_level: Tensor = self.interpolate(values, level)
            return at_level.T[:, :, None, None]

        batch = level.shape[0]
        analysis = self.analysis.T.expand(batch, -1, -1)
        if settings.gains:
            analysis = analysis * self.interpolate(self.analysis_gain, level)[:, None, :]
        return Numbers(
            level,
            Operators(self.dictionary.T.expand(batch, -1, -1), analysis, self.momentum),
            self.synthesis_at(level),
            self.prior.thresholds(level),
            None if self.nonlocal_prior is None else self.nonlocal_prior.numbers(level),
            of_refreshes(self.target_feedback) if settings.feedback else None,
            of_refreshes(self.mean_feedback) if settings.feedback else None,
            self.interpolated_weight if settings.masked else None,
        )

    @property
    def _priors(self) -> Priors:
        return Priors(self.nonlocal_prior, self.similar)


def _within(window: tuple[slice, slice], image: Tensor) -> tuple[slice, slice]:
    """The part of the window that lies on the image."""
    rows, cols = window
    return slice(rows.start, min(rows.stop, image.shape[-2])), slice(cols.start, min(cols.stop, image.shape[-1]))


def _filled(window: Tensor, size: tuple[int, int]) -> Tensor:
    """A window that the end of the image has cut short, mirrored there until it has its `size` again."""
    short = size[1] - window.shape[-1], size[0] - window.shape[-2]
    return F.pad(window, (0, short[0], 0, short[1]), mode="reflect") if any(short) else window


def _upsampled(coarse: Tensor, rows: slice, cols: slice) -> Tensor:
    """The window `rows` x `cols` of `coarse` enlarged twice by repetition."""
    top, left = rows.start // 2, cols.start // 2
    window = coarse[..., top : (rows.stop + 1) // 2, left : (cols.stop + 1) // 2]
    enlarged = window.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return enlarged[..., rows.start - 2 * top : rows.stop - 2 * top, cols.start - 2 * left : cols.stop - 2 * left]
