"""The command line. Nothing heavy is imported before a command needs it, so that --help answers at once."""

from __future__ import annotations

import os
import sys

from restorekit.cli.interrupts import INTERRUPTED, TERMINATED, Terminated, unwind_on_sigterm


def main() -> None:
    """Run the command line and exit: 0 done, 1 some inputs failed, 2 wrong usage, 130 SIGINT, 143 SIGTERM."""
    unwind_on_sigterm()
    try:
        from restorekit.cli.app import run

        sys.exit(run())
    except KeyboardInterrupt as interrupt:
        sys.exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED)
    finally:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Where nobody reads standard output any more, or the disk is full, do not complain a second time at the end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
