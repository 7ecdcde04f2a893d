"""From exceptions to one line on standard error and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from restorekit.cli.interrupts import INTERRUPTED, TERMINATED, Terminated
from restorekit.errors import RestorekitError

FAILED = 1

_PARSE_ERROR: Any = typer.BadParameter.__mro__[1]
"""typer's UsageError, which it does not export, and which is click's or its own by version."""


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Run a command's body; what it raises ends as `typer.Exit`, after a line (a closed pipe: without one)."""
    try:
        yield
    except typer.Exit:
        raise
    except _PARSE_ERROR as error:
        _say_parse_error(error)
        raise typer.Exit(error.exit_code) from None
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
    except OSError as error:
        what = "input or output" if error.filename is None else str(error.filename)
        say_error(f"{what}: {error.strerror or error}", error if verbose else None)
        raise typer.Exit(FAILED) from None
    except Exception as error:
        hint = "" if verbose else "; --verbose shows where"
        say_error(f"unexpected {type(error).__name__}: {error}{hint}", error if verbose else None)
        raise typer.Exit(FAILED) from None


def _say_parse_error(error: Any) -> None:
    kind, text = type(error).__name__, error.format_message().rstrip(".")
    if kind == "NoArgsIsHelpError":  # help was asked for, in a way, and is on standard output where rich shows it
        print(text)
        return
    hints = [f"see {error.ctx.command_path} --help"] if error.ctx is not None else []
    if kind == "NoSuchOption" and not error.option_name.startswith("--"):
        hints.append("put -- before a file name that begins with a dash")
    say_error("; ".join([text[:1].lower() + text[1:], *hints]))


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
