"""docs/cli.md says what the application says."""

import re
import runpy

import pytest
from cli_runs import REPOSITORY
from typer.main import get_command

from restorekit.cli.app import make_app

GENERATOR = runpy.run_path(str(REPOSITORY / "docs" / "generate_cli.py"))
PAGE = GENERATOR["render"]()
SECTIONS = {
    match[1]: match[2] for match in re.finditer(r"^#+ ([^\n]+)\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


COMMANDS = {name: command for command, name in GENERATOR["_commands"](get_command(make_app()), "restorekit")}


def test_the_reference_is_up_to_date():
    page = (REPOSITORY / "docs" / "cli.md").read_text("utf-8")
    assert page == PAGE, "run: PYTHONPATH=. python docs/generate_cli.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_section_of_its_command_or_in_a_group_that_it_names(name):
    own = SECTIONS[f"`{name}`"]
    told = own + "".join(SECTIONS[title.capitalize()] for title in re.findall(r"\[\w+\]\(#(\w+)\)", own))
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert re.search(rf"^- .*`{flag}[ `]", told, re.MULTILINE), flag
        assert parameter.help in told


@pytest.mark.parametrize("title", GENERATOR["GROUPS"])
def test_commands_name_a_group_of_options_instead_of_repeating_it(title):
    shared = {line for line in SECTIONS[title].splitlines() if line.startswith("- ")}
    commands = [text for text in SECTIONS.values() if f"(#{title.lower()})" in text]
    assert shared
    assert len(commands) > 2
    for text in commands:
        assert not shared & set(text.splitlines())
