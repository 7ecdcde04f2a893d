"""Messages of commands: text on standard error, JSON on standard output, errors as one line and an exit code."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import typer

from restorekit.cli import INTERRUPTED, TERMINATED, Terminated
from restorekit.errors import RestorekitError
from restorekit.tasks.prelude import batch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

    from restorekit.cli.options import MessageOptions

FAILED = 1
STREAM = "-"
SECONDS_BETWEEN_LINES = 10.0
"""Without a terminal an evaluation tells its state at most so often."""
_PARSE_ERROR: Any = typer.BadParameter.__mro__[1]
"""typer's UsageError, which it does not export, and which is click's or its own by version."""


@contextmanager
def reported(*, verbose: bool) -> Iterator[None]:
    """Run the body of a command; an exception ends as `typer.Exit`, after a line (a closed pipe: without one)."""
    try:
        yield
    except typer.Exit:
        raise
    except _PARSE_ERROR as error:
        _say_parse_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt as interrupt:
        terminated = isinstance(interrupt, Terminated)
        say_error("terminated" if terminated else "interrupted")
        raise typer.Exit(TERMINATED if terminated else INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no fault of the user's.
        raise typer.Exit(FAILED) from None
    except Exception as error:
        code, message = _described(error, verbose)
        say_error(message, error if verbose else None)
        raise typer.Exit(code) from None


def _described(error: Exception, verbose: bool) -> tuple[int, str]:
    """Return the exit code of an error and the line about it."""
    if isinstance(error, RestorekitError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError):
        return FAILED, "memory ran out; free some and try again"
    if isinstance(error, OSError):
        place = "input or output" if error.filename is None else str(error.filename)
        return FAILED, f"{place}: {error.strerror or error}"
    return FAILED, f"unexpected {type(error).__name__}: {error}{'' if verbose else '; --verbose shows where'}"


def _say_parse_error(error: Any) -> None:
    kind, text = type(error).__name__, error.format_message().rstrip(".")
    if kind == "NoArgsIsHelpError":  # the help is asked for, in a way, and is on standard output where rich shows it
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


def print_json(document: object) -> None:
    """Write a document on standard output."""
    print(json.dumps(document, indent=2), file=sys.stdout)


def make_console(*, stderr: bool) -> Console:
    """Return a console that shows text as it is, wide enough for any table where it is no terminal."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 200
    return console


class Reporter:
    """Lines and a progress bar on standard error; the bar is for terminals alone."""

    def __init__(
        self,
        options: MessageOptions,
        total: int | None = None,
        *,
        bar: bool = True,
        columns: tuple[ProgressColumn, ...] = (),
    ) -> None:
        from rich import progress

        self.options = options
        self.console = make_console(stderr=True)
        usual = progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn()
        self.bar = progress.Progress(
            *(columns or (progress.TextColumn("{task.description}", markup=False), *usual)),
            console=self.console,
            transient=True,
            disable=options.quiet or not bar or not self.console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total)
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.bar.stop()

    def say(self, text: str) -> None:
        """Write a line, unless it is to be quiet."""
        if not self.options.quiet:
            self.bar.console.print(text, soft_wrap=True)

    def progress(self, done: int, total: int, description: str) -> None:
        """Show how far it is: the bar on a terminal, a line now and then elsewhere."""
        self.bar.update(self.task, completed=done, total=total, description=description)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            self.say(f"{done} of {total} runs, {description}")


class BatchReporter(Reporter):
    """Tells the user about the outcomes of a plan, one after another, and the failures again at the end."""

    def __init__(self, plan: batch.BatchPlan, options: MessageOptions, *, json_lines: bool) -> None:
        self._several = len(plan.jobs) + len(plan.refusals) > 1
        super().__init__(options, len(plan.jobs), bar=self._several)
        self._json_lines = json_lines
        self.failures: list[tuple[str, Exception]] = []
        self._done = self._skipped = 0
        for note in plan.notes:
            self.say(note)
        for refusal in plan.refusals:
            self._fail(str(refusal.source), str(refusal.error), refusal.error)

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if exception[0] is BrokenPipeError:
            return
        if self._several:
            self.say(f"{self._done} done, {self._skipped} skipped, {len(self.failures)} failed")
        for message, cause in self.failures:
            say_error(message, cause if self.options.verbose else None)

    def report(self, outcome: batch.Outcome) -> None:
        """Say how one input ended, or what would be written for it."""
        job = outcome.job
        paths = {"input": _field(job.source), "output": _field(job.target)}
        if isinstance(outcome, batch.Done):
            self._report_done(outcome, paths)
        elif isinstance(outcome, batch.Skipped):
            self._skipped += 1
            self.say(f"{job.source_name}: {job.target_name} is there already, skipped")
            self._write_json(status="skipped", **paths)
        elif isinstance(outcome, batch.Failed):
            self._fail(_field(job.source), outcome.describe(), outcome.error)
        else:
            self.say(f"{job.source_name} -> {job.target_name}")
            self._write_json(status="planned", **paths)
        self.bar.update(self.task, advance=1, description=job.source_name)

    def _report_done(self, done: batch.Done, paths: dict[str, str]) -> None:
        self._done += 1
        made, report = done.made, done.made.report
        for note in done.notes:
            self.say(f"{done.job.source_name}: {note}")
        facts = [] if made.model is None else [made.model]
        for name, value in made.parameters:
            facts.append(f"{name.replace('_', ' ')} {value if isinstance(value, str) else f'{value:.4g}'}")
        if report is not None:
            facts.append(f"{report.seconds:.2f} s")
            if self.options.verbose:
                facts.append(f"{report.tiles} tiles on {report.device}")
        known = f" ({', '.join(facts)})" if facts else ""
        self.say(f"{done.job.source_name} -> {done.job.target_name}{known}")
        self._write_json(
            status="done",
            **paths,
            model=made.model,
            **{name: round(value, 4) if isinstance(value, float) else value for name, value in made.parameters},
            seconds=None if report is None else round(report.seconds, 4),
            megapixels_per_second=round(made.megapixels / report.seconds, 4) if report and report.seconds else None,
            tiles=None if report is None else report.tiles,
            device=None if report is None else report.device,
            notes=list(done.notes),
        )

    def _fail(self, source: str, message: str, error: Exception) -> None:
        self.failures.append((message, error))
        self._write_json(status="failed", input=source, error=message)

    def _write_json(self, **fields: object) -> None:
        if self._json_lines:
            print(json.dumps(fields), flush=True, file=sys.stdout)


def _field(path: object) -> str:
    return STREAM if path is None else str(path)
