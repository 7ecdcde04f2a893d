"""What a run tells of itself: its mean PSNR, and behind it log.jsonl, a line a check, and curves.png drawn from it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from restorekit.display.convergence import check_plots

LOG = "log.jsonl"


@dataclass(frozen=True)
class Check:
    """The state of a run at a check. PSNRs in dB, `rate` the learning-rate factor, `validation` by level."""

    step: int
    seconds: float
    rate: float
    loss_psnr: float
    probe_psnr: float
    validation_psnr: float
    validation: dict[str, float]
    event: str = ""


class RunningMean:
    """The mean of what steps say, which stays where they computed it: to read it is to wait for a GPU."""

    SECONDS = 0.5

    def __init__(self) -> None:
        self.sum: Tensor | float = 0.0
        self.count = 0
        self.read, self.read_at = 0.0, float("-inf")

    def add(self, value: Tensor) -> None:
        """Count one more."""
        self.sum = self.sum + value
        self.count += 1

    def value(self) -> float:
        """The mean; 0 while there is nothing."""
        if self.count:
            self.read, self.read_at = float(self.sum) / self.count, time.monotonic()
        return self.read

    def recent(self) -> float:
        """The mean, at most half a second old."""
        return self.read if time.monotonic() < self.read_at + self.SECONDS else self.value()


def append_check(folder: Path, check: Check) -> None:
    """Add one line to the log."""
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(check)) + "\n")


def truncate_log(folder: Path, step: int) -> None:
    """Drop the lines after `step`: a run resumed from an older checkpoint writes them again."""
    path = folder / LOG
    if path.exists():
        kept = [line for line in path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), "utf-8")


def read_log(folder: Path) -> list[Check]:
    """All checks of a run, oldest first."""
    path = folder / LOG
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [Check(**json.loads(line)) for line in lines]


def draw_curves(folder: Path, title: str) -> None:
    """Draw curves.png: validation PSNR by level, and the learning rate, over the steps."""
    check_plots()
    from matplotlib.figure import Figure

    checks = read_log(folder)
    if not checks:
        return
    steps = [check.step for check in checks]
    figure = Figure(figsize=(8, 5), layout="constrained")
    psnr, rate = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    for level in checks[-1].validation:
        values = [check.validation.get(level, float("nan")) for check in checks]
        first = checks[0].validation.get(level, values[-1])
        psnr.plot(steps, [value - values[-1] for value in values], label=f"{level}: {first:.2f} to {values[-1]:.2f} dB")
    psnr.set_ylim(-1.0, 0.1)
    psnr.set_ylabel("validation PSNR, dB below the last")
    psnr.legend(loc="lower right")
    psnr.grid(alpha=0.3)
    psnr.set_title(title)
    rate.plot(steps, [check.rate for check in checks], color="tab:gray")
    rate.set_ylabel("rate")
    rate.set_xlabel("step")
    rate.grid(alpha=0.3)
    figure.savefig(folder / "curves.png", dpi=120)
