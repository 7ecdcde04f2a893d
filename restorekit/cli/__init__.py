"""The command line. Nothing heavy is imported before a command needs it, so that --help answers at once."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from restorekit.cli.errors import Terminated


def main() -> None:
    """Run the command line and exit: 0 done, 1 some inputs failed, 2 wrong usage, 130 SIGINT, 143 SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        from restorekit.cli.app import app

        app(prog_name="restorekit")
    except KeyboardInterrupt as interrupt:
        sys.exit(143 if isinstance(interrupt, Terminated) else 130)
    finally:
        _let_go_of_stdout()


def _terminate(signal_number: int, frame: FrameType | None) -> None:
    # Unwinds the stack as Ctrl-C does, so that temporary files are removed and checkpoints written.
    raise Terminated


def _let_go_of_stdout() -> None:
    """Flush standard output; where nobody reads it any more, or the disk is full, do not complain a second time."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
