"""Ways to run the command line, with tiny models in place of the shipped ones."""

import os
import signal
import subprocess
import sys

import pytest
from cli_runs import REPOSITORY, Result, write_tiny_enlarger, write_tiny_model, write_tiny_solver
from typer.testing import CliRunner

from restorekit.cli.app import make_app
from restorekit.zoo import selection


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_model(folder / "denoise-gray-groupsc.safetensors", "denoise-gray-groupsc", 1)
    write_tiny_model(folder / "denoise-color-groupsc.safetensors", "denoise-color-groupsc", 3)
    write_tiny_solver(folder / "deblur-color-unet.safetensors", "deblur-color-unet", "deblur", (0.0, 12.0))
    write_tiny_enlarger(folder / "superres-color-enlarger.safetensors", "superres-color-enlarger")
    return folder


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, weights_folder):
    """Run in an empty folder, with tiny models in place of the shipped ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(selection, "weights_folder", lambda: weights_folder)


@pytest.fixture
def run():
    """Run the command line in this process: `run(*arguments, stdin=b"")`."""
    app = make_app()

    def run_in_process(*arguments, stdin=b""):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return Result(result.exit_code, result.stdout_bytes, result.stderr)

    return run_in_process


@pytest.fixture
def grey_model(weights_folder):
    """The path of a tiny model, for processes that would take the shipped one."""
    return weights_folder / "denoise-gray-groupsc.safetensors"


def _heed_sigint():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start():
    """Start the command line in a process of its own: `start(*arguments, **Popen's options)`."""
    processes = []

    def start_process(*arguments, **options):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        # What runs the tests in the background may have told them to ignore SIGINT, and children inherit that.
        environment = {
            **os.environ,
            **options.pop("env", {}),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
        }
        settings = {**pipes, "preexec_fn": _heed_sigint, **options}
        command = [sys.executable, "-m", "restorekit", *map(os.fspath, arguments)]
        process = subprocess.Popen(command, env=environment, **settings)
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        process.kill()
        process.communicate()
