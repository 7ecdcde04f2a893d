"""Write cli.md, the reference of the command line, from the application itself.

Run `PYTHONPATH=. python docs/generate_cli.py` at the top of the repository when a command or an option has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.main import get_command

from restorekit.cli import evaluate, options, restore
from restorekit.cli.app import make_app
from restorekit.types import Option

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# Command line

`docs/generate_cli.py` writes this page from the application; `restorekit COMMAND --help` says the same.
"""
GROUPS = {
    "Files": restore.FileOptions,
    "Model": restore.ModelOptions,
    "Iterations": restore.IterationOptions,
    "Explanation": restore.ExplainOptions,
    "Evaluation": evaluate.EvalOptions,
    "Messages": options.MessageOptions,
}
"""The options that several commands share, by the headings of their sections."""


def render() -> str:
    """Return the whole page as Markdown."""
    application = get_command(make_app())
    top, *commands = _commands(application, "restorekit")
    parts = [HEAD, *_section(*top), *_shared_options([command for command, _ in commands]), "## Commands\n"]
    for command, name in commands:
        parts += _section(command, name)
    return "\n".join(parts).rstrip() + "\n"


def _commands(command: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield a command and those below it, with their names."""
    # Typed Any: newer versions of Typer have a click of their own, older ones import it.
    yield command, name
    for subname, subcommand in getattr(command, "commands", {}).items():
        yield from _commands(subcommand, f"{name} {subname}")


def _section(command: Any, name: str) -> Iterator[str]:
    """Yield usage, help, the options of the command alone, and links to the options that it shares."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    usage = [name, "[OPTIONS]", *(_names(argument).strip("`") for argument in arguments)]
    yield f"{'#' * (name.count(' ') + 2)} `{name}`\n"
    yield f"```\n{' '.join([*usage, *(['COMMAND'] if hasattr(command, 'commands') else [])])}\n```\n"
    yield "\n".join(line.strip() for line in (command.help or "").strip().splitlines()) + "\n"
    groups = {title: _taken(command, group) for title, group in GROUPS.items()}
    shared = [parameter for parameters in groups.values() for parameter in parameters]
    own = [parameter for parameter in command.params if parameter not in shared]
    if own:
        yield from _list(own)
    links = [f"[{title.lower()}](#{title.lower()})" for title, parameters in groups.items() if parameters]
    if links:
        yield f"Shared options: {', '.join(links)}.\n"


def _shared_options(commands: list[Any]) -> Iterator[str]:
    yield "## Shared options\n"
    yield "Each command below names the groups of options that it takes besides its own.\n"
    for title, group in GROUPS.items():
        yield f"### {title}\n"
        yield f"{(group.__doc__ or '').splitlines()[0]}\n"
        yield from _list(next(filter(None, (_taken(command, group) for command in commands))))


def _taken(command: Any, group: type[Any]) -> list[Any]:
    """Return the parameters of a command that are the options of a group; none if it does not take the group."""
    hints = get_type_hints(group, include_extras=True)
    wanted = {}
    for one in fields(group):
        option = get_args(hints[one.name])[1]
        assert isinstance(option, Option)
        wanted[one.name] = option.help
    found = [parameter for parameter in command.params if wanted.get(parameter.name) == _text(parameter)]
    return found if len(found) == len(wanted) else []


def _list(parameters: list[Any]) -> Iterator[str]:
    for parameter in sorted(parameters, key=lambda one: one.param_type_name != "argument"):
        yield f"- {_names(parameter)}: {_help(parameter)}"
    yield ""


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}{'...' if parameter.nargs == -1 else ''}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _text(parameter: Any) -> str:
    return parameter.help or ""


def _help(parameter: Any) -> str:
    text = _text(parameter)
    if parameter.param_type_name == "argument":
        return text
    if parameter.required:
        return f"{text} Required."
    is_set = not parameter.is_flag and isinstance(parameter.default, (str, int, float, Path))
    return f"{text} Default: `{parameter.default}`." if is_set else text


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
