"""The algorithm that sparse-coding networks unroll: from observed patches to estimates of clean ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from restorekit.patches import aggregate_patches, coverage, extract_patches, patch_means
from restorekit.priors.centralised import CentralisedPrior
from restorekit.priors.group import GroupPrior
from restorekit.priors.similar_patches import Similarities, SimilarPatches
from restorekit.priors.similarity import Grid
from restorekit.priors.sparse import soft_threshold
from restorekit.solvers.lista import Operators, gradient_step

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
    similar: SimilarPatches | None


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
