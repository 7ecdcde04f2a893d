"""Options of commands: groups are dataclasses, which `make_command` spreads over the command line."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import typer

from restorekit.cli.output import reported
from restorekit.errors import UsageError
from restorekit.types import Option

KEYWORD, REQUIRED = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty


@dataclass(frozen=True)
class MessageOptions:
    """Options of every command: how much it says on standard error."""

    panel: ClassVar[str] = "Messages"
    quiet: Annotated[bool, Option("Say nothing but errors.", flags=("--quiet", "-q"))] = False
    verbose: Annotated[bool, Option("Say more; show where an error arose.", flags=("--verbose", "-v"))] = False


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command by the types of its parameters and its docstring; see `make_command`."""
    hints = get_type_hints(function, include_extras=True)
    del hints["return"]
    return make_command(function, hints, function.__doc__ or "")


def make_command(function: Callable[..., None], hints: Mapping[str, Any], text: str) -> Callable[..., None]:
    """Return a command for typer, whose exceptions become exit codes.

    hints: the types of the parameters that the function is called with, by name, in the order of the help; dataclasses
    are option groups and become their fields. One of the groups must be `MessageOptions`. text: the help.
    """
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, hint in hints.items():
        if name in groups:
            parameters += _parameters_of(hint)
        else:
            default = inspect.signature(function).parameters[name].default
            parameters.append(inspect.Parameter(name, KEYWORD, default=default, annotation=_for_typer(name, hint)))

    names = [parameter.name for parameter in parameters]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TypeError(f"{function.__name__}: two options are called {twice[0]}; rename the field of the task")

    def run(**values: Any) -> None:
        with reported(verbose=values["verbose"] and not values["quiet"]):
            if values["quiet"] and values["verbose"]:
                raise UsageError("--quiet and --verbose exclude each other")
            options = {
                name: group(**{one.name: values[one.name] for one in fields(group) if one.name in values})
                for name, group in groups.items()
            }
            function(**options, **{name: values[name] for name in hints if name not in groups})

    run.__doc__, run.__name__ = text, function.__name__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a group that are annotated as options; its `panel` is the heading of those without one."""
    hints = get_type_hints(group, include_extras=True)
    found = []
    for one in fields(group):
        if get_origin(hints[one.name]) is Annotated:
            default = REQUIRED if one.default is MISSING else one.default
            annotation = _for_typer(one.name, hints[one.name], getattr(group, "panel", ""))
            found.append(inspect.Parameter(one.name, KEYWORD, default=default, annotation=annotation))
    return found


def _for_typer(name: str, hint: Any, panel: str = "") -> Any:
    """Return the annotation with typer's own option in place of ours."""
    kind, option = get_args(hint)[:2] if get_origin(hint) is Annotated else (hint, None)
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
            rich_help_panel=option.panel or panel or None,
        ),
    ]
