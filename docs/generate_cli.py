"""Write cli.md, the reference of the command line, from the application itself.

`PYTHONPATH=. python docs/generate_cli.py` from the top of the repository, whenever a command or an option has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from restorekit.cli.app import app

PAGE = Path(__file__).with_name("cli.md")

_HEAD = """# Command line

Generated from the application by `docs/generate_cli.py`; `restorekit COMMAND --help` says the same.
"""


def render() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *_command(get_command(app), "restorekit")]).rstrip() + "\n"


def _command(command: Any, name: str) -> Iterator[str]:
    # Typed Any: newer versions of Typer have a click of their own, older ones import it.
    subcommands = getattr(command, "commands", {})
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = [name, *(["[OPTIONS]"] if options else []), *(_argument(argument) for argument in arguments)]
    yield f"{'#' * (name.count(' ') + 2)} `{name}`"
    yield ""
    yield f"```\n{' '.join([*usage, *(['COMMAND'] if subcommands else [])])}\n```"
    yield ""
    yield "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    yield ""
    for parameter in [*arguments, *options]:
        yield f"- {_names(parameter)}: {_help(parameter)}"
    yield ""
    for subname, subcommand in subcommands.items():
        yield from _command(subcommand, f"{name} {subname}")


def _argument(argument: Any) -> str:
    return f"{argument.metavar or argument.name.upper()}{'...' if argument.nargs == -1 else ''}"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    return ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _help(parameter: Any) -> str:
    text = parameter.help or ""
    if parameter.param_type_name == "argument":
        return text
    if parameter.required:
        return f"{text} Required."
    is_set = not parameter.is_flag and isinstance(parameter.default, (str, int, float, Path))
    return f"{text} Default: `{parameter.default}`." if is_set else text


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
