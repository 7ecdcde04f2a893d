"""Restoration measured against the truth: scores, speed, and pages to look at."""

from restorekit.evaluate.baselines import BASELINES, Baseline, baseline
from restorekit.evaluate.denoise import CropSettings, Denoiser, Progress, evaluate_denoise
from restorekit.evaluate.record import record_measurements
from restorekit.evaluate.report import write_report
from restorekit.evaluate.result import Crop, Evaluation, MethodResult, Panel, Score, Skipped

__all__ = [
    "BASELINES",
    "Baseline",
    "Crop",
    "CropSettings",
    "Denoiser",
    "Evaluation",
    "MethodResult",
    "Panel",
    "Progress",
    "Score",
    "Skipped",
    "baseline",
    "evaluate_denoise",
    "record_measurements",
    "write_report",
]
