"""Restoration measured against the truth: scores, speed, and pages to look at."""

from restorekit.evaluate.benchmark import CropSettings, evaluate_methods
from restorekit.evaluate.results import Evaluation, record_measurements, write_report

__all__ = ["CropSettings", "Evaluation", "evaluate_methods", "record_measurements", "write_report"]
