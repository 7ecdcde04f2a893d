"""Restoration measured against the truth: scores, speed, and pages to look at."""

from restorekit.evaluate.baselines import BASELINES, Baseline, baseline
from restorekit.evaluate.benchmark import (
    CleanImage,
    CropSettings,
    Degradation,
    Method,
    Progress,
    clean_slices,
    evaluate_methods,
    holds_slices,
)
from restorekit.evaluate.deblock import DEBLOCK_BASELINES, JpegCompression, deblock_baseline
from restorekit.evaluate.deblur import DEBLUR_BASELINES, GaussianBlur, deblur_baseline
from restorekit.evaluate.demosaic import DEMOSAICKERS, BayerMosaic, Demosaicker, demosaicker
from restorekit.evaluate.denoise import GaussianNoise
from restorekit.evaluate.report import write_report
from restorekit.evaluate.results import (
    Crop,
    Evaluation,
    Level,
    MethodResult,
    Panel,
    Score,
    Skipped,
    record_measurements,
)
from restorekit.evaluate.superres import ENLARGERS, BicubicDownsampling, enlarger

__all__ = [
    "BASELINES",
    "DEBLOCK_BASELINES",
    "DEBLUR_BASELINES",
    "DEMOSAICKERS",
    "ENLARGERS",
    "Baseline",
    "BayerMosaic",
    "BicubicDownsampling",
    "CleanImage",
    "Crop",
    "CropSettings",
    "Degradation",
    "Demosaicker",
    "Evaluation",
    "GaussianBlur",
    "GaussianNoise",
    "JpegCompression",
    "Level",
    "Method",
    "MethodResult",
    "Panel",
    "Progress",
    "Score",
    "Skipped",
    "baseline",
    "clean_slices",
    "deblock_baseline",
    "deblur_baseline",
    "demosaicker",
    "enlarger",
    "evaluate_methods",
    "holds_slices",
    "record_measurements",
    "write_report",
]
