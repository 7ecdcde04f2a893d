"""SIGTERM, which ends a command as Ctrl-C does. Imports nothing, so that it is there before anything can take long."""

from __future__ import annotations

import signal
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def unwind_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that temporary files are removed and checkpoints written."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    raise Terminated
