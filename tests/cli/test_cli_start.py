"""The start: what --help and --version import, completion, and `python -m restorekit`."""

import json
import os
import subprocess
import sys

import pytest
from cli_runs import REPOSITORY

from restorekit._version import __version__

HEAVY = {
    "torch",
    "numpy",
    "skimage",
    "scipy",
    "PIL",
    "imageio",
    "tifffile",
    "imagecodecs",
    "huggingface_hub",
    "sklearn",
}


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["denoise", "--help"], ["denoise"]])
def test_nothing_heavy_is_imported_for_words_alone(arguments):
    program = (
        "import json, sys\n"
        "from restorekit.cli import main\n"
        f"sys.argv = ['restorekit', *{arguments}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    modules = json.loads(python("-c", program).stdout.splitlines()[-1])
    assert "restorekit" in modules
    assert not HEAVY & set(modules)


def test_module_and_version():
    result = python("-m", "restorekit", "--version")
    assert (result.returncode, result.stdout) == (0, f"restorekit {__version__}\n")


def test_help_names_every_command_and_the_exit_codes():
    result = python("-m", "restorekit", "--help")
    assert result.returncode == 0
    for word in ("denoise", "degrade", "models", "eval", "train", "130 interrupted"):
        assert word in result.stdout


def test_shell_completion():
    script = python("-m", "restorekit", _RESTOREKIT_COMPLETE="source_bash").stdout
    assert "complete -o default -F _restorekit_completion restorekit" in script
    words = {"COMP_WORDS": "restorekit den", "COMP_CWORD": "1", "_RESTOREKIT_COMPLETE": "complete_bash"}
    assert python("-m", "restorekit", **words).stdout.split() == ["denoise"]


def test_wrong_commands_are_wrong_usage():
    result = python("-m", "restorekit", "denose")
    assert result.returncode == 2
    assert "denoise" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["denoise", "img.png"], "missing option '--sigma'; see restorekit denoise --help"),
        (["denoise", "img.png", "--sgima", "25"], "no such option: --sgima"),
        (["denoise", "-dash.png", "--sigma", "25"], "put -- before a file name that begins with a dash"),
        (["eval", "nonsense"], "no such command 'nonsense'; see restorekit eval --help"),
        (["degrade", "noise", "img.png", "--sigma", "5", "--seed", "-1"], "invalid value for '--seed'"),
    ],
)
def test_what_cannot_be_parsed_is_one_line(arguments, message):
    result = python("-m", "restorekit", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("restorekit: error: ")
    assert message in line


def test_flags_take_no_value_in_the_help():
    assert "bool" not in python("-m", "restorekit", "denoise", "--help").stdout.replace("--help   -h      <bool>", "")
