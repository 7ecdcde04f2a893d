"""The pages say what is there: links lead somewhere, and commands are such as the application takes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from restorekit.cli.app import make_app
from restorekit.train import load_recipe
from restorekit.zoo import shipped_models

REPOSITORY = Path(__file__).parents[1]
# cli.md is generated; tests/cli compares it with the application.
PAGES = {page.name: page.read_text("utf-8") for page in (REPOSITORY / "docs").glob("*.md") if page.name != "cli.md"}
PAGES |= {name: (REPOSITORY / name).read_text("utf-8") for name in ("README.md", "CHANGELOG.md")}
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OPTIONS_OF_BENCHMARKS = {
    "--every",
    "--images",
    "--minutes",
    "--nonlocal-steps",
    "--neighbours",
    "--repeats",
    "--steps",
    "--test",
    "--variant",
}
# Of torchrun, too.
FOREIGN_OPTIONS = {"--help", "--nproc-per-node"} | OPTIONS_OF_BENCHMARKS


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands():
    """What follows every `restorekit` in the shell blocks, up to a pipe or the like."""
    for text in PAGES.values():
        for line in re.split(r"\n|&&|\|", "".join(SHELL.findall(text))):
            words = shlex.split(line.split(" > ")[0])
            for index, word in enumerate(words):
                if Path(word).name == "restorekit":
                    yield words[index + 1 :]


def all_options(command):
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(all_options(sub) for sub in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("name", ["try", "develop"])
def test_the_readme_marks_the_command_for_continuous_integration(name):
    block = rf"^<!-- command: {name} -->\n```sh\n[^\n]+\n```$"
    assert len(re.findall(block, PAGES["README.md"], re.MULTILINE)) == 1


@pytest.mark.parametrize("page", sorted(PAGES))
def test_relative_links_resolve(page):
    folder = REPOSITORY if (REPOSITORY / page).exists() else REPOSITORY / "docs"
    for link in LINK.findall(PAGES[page]):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = folder / (name or page)
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_commands_parse(words):
    command, rest = get_command(make_app()), words
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    assert not (rest and getattr(command, "commands", {})), "no such command"
    command.make_context("restorekit", list(rest))  # raises where an option or an argument is wrong or missing


@pytest.mark.parametrize("page", sorted(PAGES))
def test_options_exist(page):
    assert set(OPTION.findall(PAGES[page])) <= all_options(get_command(make_app())) | FOREIGN_OPTIONS


def test_the_recipes_explained_are_those_of_the_package():
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGES["training.md"], re.MULTILINE | re.DOTALL)
    explained = {recipe["name"]: recipe for recipe in map(tomllib.loads, blocks) if "name" in recipe}
    assert list(explained) == ["denoise-gray-sc", "denoise-gray-unet"]
    for name, recipe in explained.items():
        path = REPOSITORY / "restorekit" / "train" / "recipes" / f"{name}.toml"
        assert recipe == tomllib.loads(path.read_text("utf-8"))


def test_the_table_of_models_has_what_their_cards_have():
    rows = re.findall(r"^\| `([\w-]+)` \| [^`]*\| ([\d,]+) \| [^|]* \| ([\d,]+) \|$", PAGES["zoo.md"], re.MULTILINE)
    cards = [model.card for model in shipped_models()]
    assert sorted(rows) == sorted((card.name, f"{card.parameters:,}", f"{card.steps:,}") for card in cards)


def test_models_are_by_the_recipes_of_the_package_but_for_those_that_are_said_not_to_be():
    (said,) = re.findall(r"so it is with\s([^.]*)\.", PAGES["zoo.md"])
    cards = [model.card for model in shipped_models()]
    changed = {card.name for card in cards if load_recipe(card.recipe).sha256 != card.recipe_sha256}
    assert changed == set(re.findall(r"`([\w-]+)`", said))
