"""From exceptions to one line on standard error and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from restorekit.errors import RestorekitError

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Run a command's body; what it raises ends as `typer.Exit`, after a line (a closed pipe: without one)."""
    try:
        yield
    except typer.Exit:
        raise
    except Terminated:
        say_error("terminated")
        raise typer.Exit(TERMINATED) from None
    except KeyboardInterrupt:
        say_error("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no fault of the user's.
        raise typer.Exit(FAILED) from None
    except RestorekitError as error:
        say_error(str(error), error if verbose else None)
        raise typer.Exit(error.exit_code) from None
    except MemoryError as error:
        say_error("memory ran out; free some and try again", error if verbose else None)
        raise typer.Exit(FAILED) from None
    except Exception as error:
        hint = "" if verbose else "; --verbose shows where"
        say_error(f"unexpected {type(error).__name__}: {error}{hint}", error if verbose else None)
        raise typer.Exit(FAILED) from None


def say_error(message: str, cause: BaseException | None = None) -> None:
    """Write `restorekit: error: MESSAGE` as one line, under the traceback of `cause` if there is one."""
    if sys.stderr is None:  # closed by the caller; print would turn to standard output
        return
    if cause is not None:
        traceback.print_exception(cause)
    line = " ".join(message.split())
    if not line.isprintable():  # a terminal would obey control characters
        line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    print(f"restorekit: error: {line}", file=sys.stderr)
