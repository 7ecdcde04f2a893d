"""The pages say what is there: lines run as typed, links lead somewhere, commands are such as the application takes."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

import restorekit
from restorekit.cli.app import make_app
from restorekit.tasks import TASKS
from restorekit.train import load_recipe
from restorekit.zoo import shipped_models

REPOSITORY = Path(__file__).parents[1]
# cli.md is generated; tests/cli compares it with the application.
PATHS = [path for path in sorted((REPOSITORY / "docs").rglob("*.md")) if path.name != "cli.md"]
PATHS += [REPOSITORY / name for name in ("README.md", "CHANGELOG.md")]
PAGES = {str(path.relative_to(REPOSITORY)): path.read_text("utf-8") for path in PATHS}
README = PAGES["README.md"]
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OPTIONS_OF_BENCHMARKS = {
    "--every",
    "--images",
    "--megapixels",
    "--minutes",
    "--nonlocal-steps",
    "--neighbours",
    "--peers",
    "--repeats",
    "--steps",
    "--test",
    "--variant",
}
# Of pip, ruff and torchrun, too.
FOREIGN_OPTIONS = {"--group", "--help", "--nproc-per-node", "--index-url", "--check"} | OPTIONS_OF_BENCHMARKS


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


@pytest.fixture
def copy(tmp_path):
    """A copy of the parts of the repository that the README's examples need."""
    for name in ("restorekit", "docs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "weights").symlink_to(REPOSITORY / "weights")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("restorekit", "-m restorekit ")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        program.chmod(0o755)
    return tmp_path


@pytest.mark.slow
def test_every_line_of_the_readme_runs_as_typed(copy):
    script = []
    for language, text in BLOCK.findall(README):
        if language == "python":
            script.append(f"python - <<'END'\n{text}END")
        elif language == "sh":
            script += [line for line in text.splitlines() if ".venv" not in line]  # set-up is left to the environment
    environment = os.environ | {"PATH": f"{copy / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(copy)}
    typed = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(script)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert typed.returncode == 0, typed.stderr
    made = "compressed_deblocked.png colour.png blurred_deblurred.png small_enlarged.png slice.png clean/cat.png"
    made += " clean.png noisy_denoised.png why/index.html report.html"
    assert [name for name in made.split() if not (copy / "docs" / "samples" / name).exists()] == []


def test_what_the_examples_make_in_the_samples_folder_is_ignored_by_git():
    assert "/why/" in (REPOSITORY / "docs" / "samples" / ".gitignore").read_text("utf-8").splitlines()


def test_the_readme_is_short():
    text = re.sub(r"^```.*?^```$|^<!--.*?-->$|^\|.*?$", "", README, flags=re.MULTILINE | re.DOTALL)
    assert len(text.split()) <= 700


def test_the_readme_installs_the_pinned_torch():
    (version,) = re.findall(r"^torch==(.*)$", (REPOSITORY / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert f"pip install torch=={version} --index-url https://download.pytorch.org/whl/cpu" in README


@pytest.mark.parametrize("name", ["try", "develop"])
def test_the_readme_marks_the_command_for_continuous_integration(name):
    block = rf"^<!-- command: {name} -->\n```sh\n(?:[^`\n]+\n)+```$"
    assert len(re.findall(block, README, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_resolve(page):
    for link in LINK.findall(PAGES[page]):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = (REPOSITORY / page).parent / name if name else REPOSITORY / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text("utf-8")), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs")])
def test_every_page_is_reachable(page):
    linked = {
        (REPOSITORY / other).parent.joinpath(link.partition("#")[0]).resolve()
        for other in PAGES
        for link in LINK.findall(PAGES[other])
        if other != page and "://" not in link
    }
    assert (REPOSITORY / page).resolve() in linked


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_commands_parse(words):
    command, rest = get_command(make_app()), words
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    assert not (rest and getattr(command, "commands", {})), "no such command"
    command.make_context("restorekit", list(rest))  # raises where an option or an argument is wrong or missing


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page):
    assert set(OPTION.findall(PAGES[page])) <= all_options(get_command(make_app())) | FOREIGN_OPTIONS


@pytest.mark.parametrize("page", PAGES)
def test_scripts_of_benchmarks_exist(page):
    for name in re.findall(r"python -m ([\w.]+\.[\w.]+)", PAGES[page]):
        assert REPOSITORY.joinpath(*name.split(".")).with_suffix(".py").exists(), name


def test_files_that_the_architecture_names_exist():
    text = PAGES["docs/architecture.md"]
    names = {name for name in re.findall(r"`([\w/]+/[\w/]*(?:\.py)?)`", text) if "tests" not in name}
    places = [REPOSITORY, REPOSITORY / "restorekit"]
    assert [name for name in sorted(names) if not any((place / name).exists() for place in places)] == []
    rooms = re.findall(r"^\| `(\w+)/` \| ([\w, ]+) \|", text, re.MULTILINE)
    assert len(rooms) > 10
    for room, files in rooms:
        for name in re.findall(r"\w+", files.partition(", and")[0]):
            module = REPOSITORY / "restorekit" / room / name
            assert module.is_dir() or module.with_suffix(".py").exists(), f"{room}/{name}"


def test_the_task_of_the_contributing_page_works(tmp_path, monkeypatch):
    (example,) = (text for _, text in BLOCK.findall(PAGES["docs/contributing.md"]) if "base.Task" in text)
    (tmp_path / "brighten_example.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(TASKS, "brighten", "brighten_example:Brighten")
    picture = tmp_path / "cat.png"
    shutil.copy(REPOSITORY / "docs" / "samples" / "photos" / "cat.png", picture)
    assert CliRunner().invoke(make_app(), ["brighten", str(picture)]).exit_code == 0
    assert (tmp_path / "cat_brightened.png").exists()
    assert np.allclose(restorekit.brighten(np.full((8, 8), 0.25, np.float32)), 0.5)


def test_the_prior_of_the_contributing_page_works():
    (example,) = (text for _, text in BLOCK.findall(PAGES["docs/contributing.md"]) if "(CodePrior)" in text)
    names = {}
    exec(compile(example, "contributing.md", "exec", dont_inherit=True), names)
    prior = names["HardPrior"](steps=1, atoms=2, knots=(0.0,))
    kept = prior.prox(torch.tensor([[[0.5, -2.0]]]), torch.ones(1, 1, 2), torch.empty(0), None)
    assert kept.tolist() == [[[0.0, -2.0]]]


def test_the_recipes_explained_are_those_of_the_package():
    blocks = re.findall(r"^```toml\n(.*?)^```$", PAGES["docs/training.md"], re.MULTILINE | re.DOTALL)
    explained = {recipe["name"]: recipe for recipe in map(tomllib.loads, blocks) if "name" in recipe}
    assert list(explained) == ["denoise-gray-sc", "denoise-gray-unet"]
    for name, recipe in explained.items():
        path = REPOSITORY / "restorekit" / "train" / "recipes" / f"{name}.toml"
        assert recipe == tomllib.loads(path.read_text("utf-8"))


def test_the_table_of_models_has_what_their_cards_have():
    page = PAGES["docs/models.md"]
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d,]+) \| [^|]* \| ([\d,]+) \|$", page, re.MULTILINE)
    cards = [model.card for model in shipped_models()]
    assert sorted(rows) == sorted((card.name, f"{card.parameters:,}", f"{card.steps:,}") for card in cards)
    choices = page.partition("## Which model for what")[2].partition("\n## ")[0]
    assert {card.name for card in cards} <= set(re.findall(r"`([\w-]+)`", choices))


def test_models_are_by_the_recipes_of_the_package_but_for_those_that_are_said_not_to_be():
    (said,) = re.findall(r"So it is with\s([^.]*)\.", PAGES["docs/research/shipped-models.md"])
    cards = [model.card for model in shipped_models()]
    changed = {card.name for card in cards if load_recipe(card.recipe).sha256 != card.recipe_sha256}
    assert changed == set(re.findall(r"`([\w-]+)`", said))
