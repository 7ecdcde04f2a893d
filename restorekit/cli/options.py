"""Options that several commands share: each group is a dataclass, spread over the command line by `command`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from restorekit.cli.errors import reported
from restorekit.errors import UsageError

NoiseLevel = Annotated[
    str,
    typer.Option(
        "--noise",
        metavar="NUMBER|auto",
        help="Standard deviation of the noise on the scale 0..255; auto estimates it on each image.",
    ),
]
NoiseSeed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="The same seed makes the same noise, for every image.")
]

_FILES, _MODEL, _EXPLAIN, _MESSAGES = "Files", "Model", "Explanation", "Messages"


@dataclass(frozen=True)
class FileOptions:
    """Options of every command that makes pictures from pictures."""

    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Images, folders of images (searched with their subfolders), or -."),
    ]
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Output file for one image, output folder for several or for a folder, - for standard output.",
            rich_help_panel=_FILES,
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=_FILES)
    ] = False
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Resume: leave out images whose output exists and is complete.",
            rich_help_panel=_FILES,
        ),
    ] = False
    strip_metadata: Annotated[
        bool, typer.Option("--strip-metadata", help="Drop EXIF data and colour profiles.", rich_help_panel=_FILES)
    ] = False
    max_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-pixels",
            metavar="N",
            min=1,
            help="Read images of up to N pixels (default: 89 million, against decompression bombs).",
            rich_help_panel=_FILES,
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and stop.", rich_help_panel=_FILES)
    ] = False
    json_lines: Annotated[
        bool,
        typer.Option("--json", help="One JSON object an image on standard output.", rich_help_panel=_MESSAGES),
    ] = False


@dataclass(frozen=True)
class ModelOptions:
    """Options of every command that runs a network on pictures."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            help="A model of `restorekit models`, org/name on the hub, or a weights file (default: by picture).",
            rich_help_panel=_MODEL,
        ),
    ] = None
    quality: Annotated[
        str,
        typer.Option(
            "--quality",
            metavar="fast|balanced|best",
            autocompletion=lambda: ["fast", "balanced", "best"],
            help="How densely patches are restored; where all are, best averages over turns of the picture.",
            rich_help_panel=_MODEL,
        ),
    ] = "balanced"
    device: Annotated[
        str,
        typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.", rich_help_panel=_MODEL),
    ] = "auto"
    tile: Annotated[
        str,
        typer.Option(
            "--tile",
            metavar="auto|N",
            help="Side of a tile in pixels; auto fits what memory is free, and where it can a CPU's cache.",
            rich_help_panel=_MODEL,
        ),
    ] = "auto"
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Never touch the network (also HF_HUB_OFFLINE=1).", rich_help_panel=_MODEL),
    ] = False


@dataclass(frozen=True)
class ExplainOptions:
    """Options of commands that can explain what they did to one picture."""

    explain: Annotated[
        Path | None,
        typer.Option(
            "--explain",
            metavar="DIR",
            help="Write a page with pictures to a new or empty folder: how the network came to its result.",
            rich_help_panel=_EXPLAIN,
        ),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="X,Y",
            help="The pixel to look at, counted from 0,0 at the top left (default: the most detailed place).",
            rich_help_panel=_EXPLAIN,
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            metavar="IMG",
            help="The clean picture, to compare with on the page.",
            rich_help_panel=_EXPLAIN,
        ),
    ] = None


@dataclass(frozen=True)
class MessageOptions:
    """Options of every command: how much is said on standard error."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=_MESSAGES)] = (
        False
    )
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more; show where an error arose.", rich_help_panel=_MESSAGES)
    ] = False


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command: parameters that are option groups become their fields, exceptions become exit codes.

    One of the groups must be `MessageOptions`.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            types = get_type_hints(groups[name], include_extras=True)
            parameters += [_parameter(field, types[field.name]) for field in fields(groups[name])]
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    for parameter in parameters:
        _show_as_flag(parameter.annotation)

    @wraps(function)
    def run(**values: Any) -> None:
        with reported(verbose=values["verbose"] and not values["quiet"]):
            if values["quiet"] and values["verbose"]:
                raise UsageError("--quiet and --verbose exclude each other")
            options = {
                name: group(**{field.name: values.pop(field.name) for field in fields(group)})
                for name, group in groups.items()
            }
            function(**options, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _show_as_flag(annotation: Any) -> None:
    """Keep the help from naming the type of a flag, as newer versions of typer do: as if `--quiet` took a value."""
    if annotation.__origin__ is bool:
        for option in annotation.__metadata__:
            option.metavar = ""


def _parameter(field: Field[Any], annotation: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
