"""The command line. Nothing heavy is imported before a command needs it, so that --help answers at once."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 some inputs failed, 2 wrong usage, 130 SIGINT, 143 SIGTERM."""
    # SIGTERM unwinds the stack as Ctrl-C does, so that temporary files are removed and checkpoints written.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        from restorekit.cli.app import run

        sys.exit(run())
    except KeyboardInterrupt as interrupt:
        sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
    finally:
        _release_stdout()


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _release_stdout() -> None:
    """Keep Python from complaining a second time where nobody reads standard output, or the disk is full."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
