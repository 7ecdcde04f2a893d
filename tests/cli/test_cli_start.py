"""The start: what is imported for words and for refusals, how many networks are loaded, completion, usage errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import REPOSITORY, write_image

from restorekit._version import __version__
from restorekit.zoo import weights

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


def python(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
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


REFUSED = {
    ("denoise", "missing.png", "--sigma", "25"): (1, "missing.png: no such file"),
    ("denoise", "missing.png", "--sigma", "25", "-o", "-"): (1, "missing.png: no such file"),
    ("denoise", "missing.png", "--sigma", "25", "--dry-run"): (1, "missing.png: no such file"),
    ("deblock", "missing.jpg"): (1, "missing.jpg: no such file"),
    ("degrade", "jpeg", "missing.png", "--quality-factor", "10"): (1, "missing.png: no such file"),
    ("cs-mri", "missing.npy"): (1, "missing.npy: no such file"),
    ("cs-mri", "img.png", "--mask", "missing.npy"): (1, "missing.npy: no such file"),
    ("denoise", "img.png", "--sigma", "25", "--explain", "x", "--reference", "no.png"): (1, "no.png: no such file"),
    ("superres", "img.png", "--scale", "2", "--trajectory", "x.png", "--reference", "no.png"): (1, "no.png: no such"),
    ("denoise", "img.png", "--sigma", "-1"): (2, "sigma -1"),
    ("denoise", "img.png", "--sigma", "strong"): (2, "sigma strong"),
    ("degrade", "noise", "img.png", "--sigma", "300"): (2, "sigma 300"),
    ("eval", "denoise", "--data", "data", "--sigma", "0"): (2, "sigma 0"),
    ("superres", "img.png", "--scale", "2", "--noise", "nan"): (2, "noise nan"),
    ("deblur", "img.png", "--kernel", "gaussian:0"): (2, "--kernel gaussian:0"),
    ("deblur", "img.png", "--kernel", "motion:15"): (2, "--kernel motion:15"),
    ("deblur", "img.png", "--kernel", "missing.npy"): (2, "--kernel missing.npy"),
    ("degrade", "blur", "img.png", "--kernel", "box:3"): (2, "--kernel box:3"),
    ("eval", "deblur", "--data", "data", "--kernel", "motion:0,3"): (2, "--kernel motion:0,3"),
    ("deblur", "img.png", "--kernel", "gaussian:1", "--boundary", "mirror"): (2, "--boundary mirror"),
    ("degrade", "blur", "img.png", "--kernel", "gaussian:1", "--boundary", "no"): (2, "--boundary no"),
    ("demosaic", "img.png"): (2, "img.png: name the mosaic's pattern"),
    ("demosaic", "img.png", "--pattern", "rgbg"): (2, "--pattern rgbg"),
    ("degrade", "mosaic", "img.png", "--pattern", "rgbg"): (2, "--pattern rgbg"),
    ("eval", "demosaic", "--data", "data", "--pattern", "rgbg"): (2, "--pattern rgbg"),
    ("denoise", "img.png", "--sigma", "25", "--quality", "ultra"): (2, "--quality ultra"),
    ("eval", "denoise", "--data", "data", "--sigma", "25", "--quality", "ultra"): (2, "--quality ultra"),
    ("denoise", "img.png", "--sigma", "25", "--tile", "3"): (2, "--tile 3"),
    ("eval", "denoise", "--data", "data", "--sigma", "25", "--tile", "many"): (2, "--tile many"),
    ("cs-mri", "img.png", "--simulate", "spiral:0.3"): (2, "--simulate spiral:0.3"),
    ("degrade", "kspace", "img.png", "--simulate", "radial:2"): (2, "--simulate radial:2"),
    ("eval", "cs-mri", "--data", "data", "--sampling", "radial"): (2, "--sampling radial"),
    ("eval", "cs-mri", "--data", "data", "--mask", "missing.npy"): (1, "missing.npy: no such file"),
    ("denoise", "img.png", "--sigma", "25"): (1, "img_denoised.png: already exists"),
    ("superres", "img.png", "--scale", "2", "-o", "out.png"): (1, "out.png: already exists"),
    ("degrade", "noise", "img.png", "--sigma", "25", "-o", "out.png"): (1, "out.png: already exists"),
    ("superres", "img.png", "--scale", "2", "--trajectory", "out.png"): (1, "out.png: already exists"),
    ("eval", "denoise", "--data", "data", "--sigma", "25", "--json", "out.json"): (1, "out.json: already exists"),
    ("eval", "denoise", "--data", "data", "--sigma", "25", "--report", "out.json"): (1, "out.json: already exists"),
    ("denoise", "empty", "--sigma", "25"): (1, "empty: no pictures in it"),
    ("degrade", "downsample", "empty", "--scale", "2"): (1, "empty: no pictures in it"),
    ("eval", "denoise", "--data", "empty", "--sigma", "25"): (1, "empty: no images in it"),
    ("eval", "cs-mri", "--data", "missing", "--sampling", "radial:0.3"): (1, "missing: no such folder"),
}
"""What is refused, with the exit code and a part of the line that says so."""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """The exit code, the line on standard error and whether torch was imported, for each of `REFUSED`."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "empty").mkdir()
    for name in ("img.png", "img_denoised.png", "out.png", "data/a.png"):
        write_image(folder / name)
    (folder / "out.json").write_text("{}")
    program = (
        "import contextlib, io, json, sys\n"
        "from restorekit.cli import main\n"
        f"for arguments in {list(REFUSED)}:\n"
        "    sys.argv = ['restorekit', *arguments]\n"
        "    said, code = io.StringIO(), None\n"
        "    with contextlib.redirect_stderr(said):\n"
        "        try:\n"
        "            main()\n"
        "        except SystemExit as end:\n"
        "            code = end.code\n"
        "    print(json.dumps([code, said.getvalue(), 'torch' in sys.modules]))\n"
    )
    result = python("-c", program, cwd=folder)
    assert result.returncode == 0, result.stderr
    return dict(zip(REFUSED, map(json.loads, result.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_cannot_be_done_is_told_before_torch_is_imported(refusals, arguments):
    code, message = REFUSED[arguments]
    found, said, torch_is_imported = refusals[arguments]
    assert (found, torch_is_imported) == (code, False), said
    (line,) = said.splitlines()
    assert line.startswith("restorekit: error: ")
    assert message in line


def test_the_others_go_on_where_an_input_is_missing(run):
    write_image("img.png")
    planned, done = (
        run("denoise", "missing.png", "img.png", "--sigma", "25", "-o", "out/", "--json", *options)
        for options in (("--dry-run",), ())
    )
    for result, status in ((planned, "planned"), (done, "done")):
        assert result.code == 1
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert [(line["status"], line["input"]) for line in lines] == [("failed", "missing.png"), (status, "img.png")]
        assert lines[0]["error"] == "missing.png: no such file"
        assert result.errors == ["restorekit: error: missing.png: no such file"]
    assert Path("out/img.png").exists()


@pytest.fixture
def loaded(monkeypatch):
    """The names of the models that are loaded, in their order."""
    names = []
    load_weights = weights.load_weights

    def count(path):
        names.append(path.stem)
        return load_weights(path)

    monkeypatch.setattr(weights, "load_weights", count)
    return names


@pytest.mark.parametrize("quality", ["fast", "best"])
@pytest.mark.parametrize("sigma", ["25", "auto"])
def test_denoising_colour_loads_one_network(run, loaded, sigma, quality):
    write_image("colour.png", (40, 44, 3))
    assert run("denoise", "colour.png", "--sigma", sigma, "--quality", quality).code == 0
    assert loaded == ["denoise-color-groupsc"]


def test_each_network_of_a_batch_is_loaded_once(run, loaded):
    for name, shape in (("a.png", (12, 14)), ("b.png", (12, 14, 3)), ("c.png", (12, 14)), ("d.png", (12, 14, 3))):
        write_image(name, shape)
    assert run("denoise", "a.png", "b.png", "c.png", "d.png", "--sigma", "25").code == 0
    assert loaded == ["denoise-gray-groupsc", "denoise-color-groupsc"]


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
