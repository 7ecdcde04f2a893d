"""Restoration measured against the truth: scores, speed, and pages to look at."""

from restorekit.evaluate.benchmark import CropSettings, evaluate_methods
from restorekit.evaluate.report import write_report
from restorekit.evaluate.results import Evaluation, record_measurements

__all__ = ["CropSettings", "Evaluation", "evaluate_methods", "record_measurements", "write_report"]
