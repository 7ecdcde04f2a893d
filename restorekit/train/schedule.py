"""The learning rate over a run."""

from __future__ import annotations

import math

from restorekit.train.recipe import OptimiserSettings


def rate_factor(step: int, settings: OptimiserSettings) -> float:
    """min(1, (t + 1) / warmup) * (1 + cos(pi t / T)) / 2 for step t of T; multiplies every learning rate."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))


def average_decay(step: int, settings: OptimiserSettings) -> float:
    """Decay of the weight average: short at first, so that the average does not remember the start."""
    return min(settings.average_decay, (1 + step) / (10 + step))
