"""What a batch says while it runs: a progress bar or plain lines on standard error, JSON on standard output.

Imports NumPy by way of the pictures, so it is imported by a command at work only.
"""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from restorekit.cli.console import make_console
from restorekit.cli.errors import say_error
from restorekit.cli.options import MessageOptions
from restorekit.restore.batch import Done, Outcome, Skipped, describe_failure
from restorekit.restore.plan import STREAM, Job, Plan


class BatchReporter:
    """Tells the user about the outcomes of a plan, one after another, and the failures again at the end."""

    def __init__(self, plan: Plan, options: MessageOptions, *, json_lines: bool) -> None:
        self._options = options
        self._json_lines = json_lines
        self._several = len(plan.jobs) + len(plan.refusals) > 1
        self._failures: list[tuple[str, Exception]] = []
        self._done = self._skipped = 0
        console = make_console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=options.quiet or not self._several or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=len(plan.jobs))
        for note in plan.notes:
            self.say(note)
        for refusal in plan.refusals:
            self._fail(str(refusal.source), str(refusal.error), refusal.error)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if kind is BrokenPipeError:
            return
        if self._several:
            counts = [f"{self._done} done", f"{self._skipped} skipped", f"{len(self._failures)} failed"]
            self.say(", ".join(counts))
        for message, cause in self._failures:
            say_error(message, cause if self._options.verbose else None)

    @property
    def failed(self) -> bool:
        """Whether any input has failed."""
        return bool(self._failures)

    def say(self, text: str) -> None:
        """A line on standard error, unless it is to be quiet."""
        if not self._options.quiet:
            self._bar.console.print(text, soft_wrap=True)

    def report(self, outcome: Outcome) -> None:
        """Say what became of one picture."""
        if isinstance(outcome, Done):
            self._report_done(outcome)
        elif isinstance(outcome, Skipped):
            self._report_skipped(outcome)
        else:
            self._fail(_input_field(outcome.job), describe_failure(outcome), outcome.error)
        self._bar.update(self._task, advance=1, description=outcome.job.source_name)

    def announce(self, job: Job) -> None:
        """Say what would be written for one picture."""
        self.say(f"{job.source_name} -> {job.target_name}")
        self._write_json(status="planned", input=_input_field(job), output=_output_field(job))

    def _report_done(self, done: Done) -> None:
        self._done += 1
        restored = done.restored
        for note in done.notes:
            self.say(f"{done.job.source_name}: {note}")
        facts = []
        if restored.model is not None:
            facts.append(restored.model)
        facts += [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in restored.parameters]
        if restored.seconds is not None:
            facts.append(f"{restored.seconds:.2f} s")
        if self._options.verbose and restored.device is not None:
            facts.append(f"{restored.tiles} tiles on {restored.device}")
        what = f" ({', '.join(facts)})" if facts else ""
        self.say(f"{done.job.source_name} -> {done.job.target_name}{what}")
        self._write_json(
            status="done",
            input=_input_field(done.job),
            output=_output_field(done.job),
            model=restored.model,
            **{name: round(value, 4) if isinstance(value, float) else value for name, value in restored.parameters},
            seconds=None if restored.seconds is None else round(restored.seconds, 4),
            megapixels_per_second=round(restored.megapixels / restored.seconds, 4) if restored.seconds else None,
            tiles=restored.tiles,
            device=restored.device,
            notes=list(done.notes),
        )

    def _report_skipped(self, skipped: Skipped) -> None:
        self._skipped += 1
        self.say(f"{skipped.job.source_name}: {skipped.job.target_name} is there already, skipped")
        self._write_json(status="skipped", input=_input_field(skipped.job), output=_output_field(skipped.job))

    def _fail(self, source: str, message: str, error: Exception) -> None:
        self._failures.append((message, error))
        self._write_json(status="failed", input=source, error=message)

    def _write_json(self, **fields: object) -> None:
        if self._json_lines:
            print(json.dumps(fields), flush=True, file=sys.stdout)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _input_field(job: Job) -> str:
    return STREAM if job.source is None else str(job.source)


def _output_field(job: Job) -> str:
    return STREAM if job.target is None else str(job.target)
