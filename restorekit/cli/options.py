"""Options of commands: groups are dataclasses, which `command` spreads over the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from restorekit.cli.output import reported
from restorekit.errors import UsageError
from restorekit.types import Option, Quality

_FILES, _MODEL, _ITERATIONS, _EXPLAIN, _MESSAGES = "Files", "Model", "Iterations", "Explanation", "Messages"
_QUALITIES = tuple(Quality)


@dataclass(frozen=True)
class FileOptions:
    """Options of commands that read and write files."""

    inputs: Annotated[
        list[str],
        Option("Images, folders of images (subfolders too), or - for standard input.", "INPUT", argument=True),
    ]
    output: Annotated[
        str | None,
        Option(
            "Output file for one image, output folder for several or for a folder, - for standard output.",
            "PATH",
            ("--output", "-o"),
            panel=_FILES,
        ),
    ] = None
    overwrite: Annotated[bool, Option("Replace outputs that exist.", panel=_FILES)] = False
    skip_existing: Annotated[bool, Option("Resume: skip images whose output is there and complete.", panel=_FILES)] = (
        False
    )
    strip_metadata: Annotated[bool, Option("Drop EXIF data and colour profiles.", panel=_FILES)] = False
    max_pixels: Annotated[
        int | None,
        Option(
            "Read images of up to N pixels (default: 89 million, against decompression bombs).",
            "N",
            low=1,
            panel=_FILES,
        ),
    ] = None
    dry_run: Annotated[bool, Option("Say what would be written, and stop.", panel=_FILES)] = False
    json_lines: Annotated[
        bool, Option("Write one JSON object per image to standard output.", flags=("--json",), panel=_MESSAGES)
    ] = False

    def check_one_file(self, option: str, thing: str) -> None:
        """Raise UsageError unless there is exactly one input, which is a file; `option` and `thing` are for words."""
        if len(self.inputs) != 1 or self.inputs[0] == "-" or Path(self.inputs[0]).is_dir():
            raise UsageError(f"{option} is for one {thing} in a file; name exactly one as input")
        if self.skip_existing:
            raise UsageError(f"{option} and --skip-existing exclude each other")


@dataclass(frozen=True)
class ModelOptions:
    """Options of commands that restore pictures with a model."""

    model: Annotated[
        str | None,
        Option(
            "A name from `restorekit models`, org/name on the hub, or a weights file (default: by picture).",
            "NAME|PATH",
            panel=_MODEL,
        ),
    ] = None
    quality: Annotated[
        str,
        Option(
            "Speed against quality: patches begin at every third pixel (fast), every second (balanced) or every pixel "
            "(best). Networks without patches run once or, with best, on eight turned and mirrored views, and take the "
            "mean.",
            "fast|balanced|best",
            choices=_QUALITIES,
            panel=_MODEL,
        ),
    ] = Quality.BALANCED.value
    device: Annotated[str, Option("Where to compute.", "auto|cpu|cuda|cuda:N", panel=_MODEL)] = "auto"
    tile: Annotated[
        str,
        Option(
            "Side of a tile in pixels; auto chooses one that fits into memory, and into the cache of a CPU.",
            "auto|N",
            panel=_MODEL,
        ),
    ] = "auto"
    offline: Annotated[
        bool, Option("Use no network, only the cache of the hub (also HF_HUB_OFFLINE=1).", panel=_MODEL)
    ] = False


@dataclass(frozen=True)
class IterationOptions:
    """Options of commands that iterate: their number, and a plot of the iterations."""

    iterations: Annotated[
        int | None,
        Option("Number of iterations (default: the one that measured best).", "N", low=1, high=1000, panel=_ITERATIONS),
    ] = None
    trajectory: Annotated[
        Path | None,
        Option(
            "Plot the change that each iteration made and, with --reference, its PSNR.", "OUT.png", panel=_ITERATIONS
        ),
    ] = None
    reference: Annotated[
        Path | None, Option("The clean picture to measure each iteration against.", "IMG", panel=_ITERATIONS)
    ] = None


@dataclass(frozen=True)
class ExplainOptions:
    """Options of commands that can explain how they restored a picture."""

    explain: Annotated[
        Path | None,
        Option(
            "Write a page on how the network restored the picture, to a new or empty folder.",
            "DIR",
            panel=_EXPLAIN,
        ),
    ] = None
    at: Annotated[
        str | None,
        Option(
            "The pixel to look at, counted from 0,0 at the top left (default: the most detailed place).",
            "X,Y",
            panel=_EXPLAIN,
        ),
    ] = None
    reference: Annotated[Path | None, Option("The clean picture to compare with.", "IMG", panel=_EXPLAIN)] = None

    @property
    def pixel(self) -> tuple[int, int] | None:
        """The pixel to look at as x and y. Raises UsageError for another text."""
        if self.at is None:
            return None
        parts = self.at.split(",")
        if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
            raise UsageError(f"--at {self.at}: name a pixel by its column and row, as in --at 120,80")
        return int(parts[0]), int(parts[1])


@dataclass(frozen=True)
class MessageOptions:
    """Options of every command: how much it says on standard error."""

    quiet: Annotated[bool, Option("Say nothing but errors.", flags=("--quiet", "-q"), panel=_MESSAGES)] = False
    verbose: Annotated[
        bool, Option("Say more; show where an error arose.", flags=("--verbose", "-v"), panel=_MESSAGES)
    ] = False


@dataclass(frozen=True)
class EvalOptions:
    """Options of commands that measure models: `restorekit eval`."""

    data: Annotated[Path, Option("A folder of clean images.", "DIR")]
    model: Annotated[
        list[str] | None,
        Option("A model to measure; repeatable (default: the default models of the task).", "NAME|PATH"),
    ] = None
    quality: Annotated[
        list[str] | None,
        Option(
            "Speed against quality, as in `restorekit denoise`; repeatable (default: balanced).",
            "fast|balanced|best",
            choices=_QUALITIES,
        ),
    ] = None
    device: Annotated[str, Option("Where to compute.", "auto|cpu|cuda|cuda:N")] = "auto"
    tile: Annotated[str, Option("Side of a tile in pixels.", "auto|N")] = "auto"
    offline: Annotated[bool, Option("Use no network, only the cache of the hub.")] = False
    max_pixels: Annotated[int | None, Option("Read images of up to N pixels.", "N", low=1)] = None
    json_file: Annotated[
        str | None, Option("Write all figures as JSON; - for standard output.", "FILE", ("--json",))
    ] = None
    report: Annotated[Path | None, Option("Write an HTML page with tables and crops.", "FILE.html")] = None
    overwrite: Annotated[bool, Option("Replace the files of --json and --report.")] = False


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command: parameters that are option groups become their fields.

    One of the groups must be `MessageOptions`; see `make_command`.
    """
    hints = get_type_hints(function, include_extras=True)
    single = {
        name: parameter.replace(annotation=for_typer(name, hints[name]), kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
    }
    return make_command(function, hints, single, function.__doc__ or "")


def make_command(
    function: Callable[..., None], hints: Mapping[str, Any], single: Mapping[str, inspect.Parameter], text: str
) -> Callable[..., None]:
    """Return a command for typer, whose exceptions become exit codes.

    Args:
        function: called with an instance of each group, and the values of the single parameters, by name.
        hints: the type of each of its parameters, in the order of the help; dataclasses are option groups.
        single: the parameters that are no groups.
        text: the help.
    """
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name in hints:
        if name in groups:
            parameters += _parameters_of(groups[name])
        elif name in single:
            parameters.append(single[name])

    def run(**values: Any) -> None:
        with reported(verbose=values["verbose"] and not values["quiet"]):
            if values["quiet"] and values["verbose"]:
                raise UsageError("--quiet and --verbose exclude each other")
            options = {
                name: group(**{one.name: values[one.name] for one in fields(group) if one.name in values})
                for name, group in groups.items()
            }
            function(**options, **{name: values[name] for name in single if name in values})

    run.__doc__, run.__name__ = text, function.__name__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a group that are annotated as options."""
    hints = get_type_hints(group, include_extras=True)
    found = []
    for one in fields(group):
        if get_origin(hints[one.name]) is Annotated:
            default = inspect.Parameter.empty if one.default is MISSING else one.default
            annotation = for_typer(one.name, hints[one.name])
            found.append(
                inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
    return found


def for_typer(name: str, hint: Any) -> Any:
    """Return the annotation with typer's own option in place of ours."""
    if get_origin(hint) is not Annotated:
        return hint
    kind, option = get_args(hint)[:2]
    if not isinstance(option, Option):
        return hint
    if option.argument:
        return Annotated[kind, typer.Argument(metavar=option.metavar, help=option.help)]
    choices = list(option.choices)
    return Annotated[
        kind,
        typer.Option(
            *(option.flags or (f"--{name.replace('_', '-')}",)),
            # Newer versions of typer would name the type of a flag, as if it took a value.
            metavar=option.metavar if kind is not bool else "",
            help=option.help,
            min=option.low,
            max=option.high,
            autocompletion=(lambda: choices) if choices else None,
            rich_help_panel=option.panel or None,
        ),
    ]
