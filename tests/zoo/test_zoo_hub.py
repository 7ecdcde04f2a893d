from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
from hub_server import COMMIT, Hub, serving
from zoo_files import write_model

from restorekit.errors import ModelNotFoundError, RestorekitError, UsageError, WeightsError
from restorekit.zoo import find, load_model, locate

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "import sys; from restorekit.zoo import locate; print(locate(sys.argv[1], offline=sys.argv[2:] == ['offline']))"
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one repository, and an empty cache; the client reads its environment once, hence the constants."""
    data = write_model(tmp_path / "tiny.safetensors").read_bytes()
    repository = {"model.safetensors": data, "other.safetensors": data + b"\0", "page.safetensors": b"<html></html>"}
    with serving(Hub({"org/tiny": repository})) as server:
        template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        # Before version 1 the client kept its own copy of the template.
        monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.chdir(tmp_path)
        yield server


def environment(hub: Hub, home: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {**inherited, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def refusal(name: str, kind: type[RestorekitError], **options: object) -> str:
    with pytest.raises(kind) as caught:
        find(name, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    return message


def test_cold_then_warm_cache(hub: Hub) -> None:
    found = locate("org/tiny")
    assert found.commit == COMMIT
    assert found.path.is_relative_to(Path("hub").resolve())
    assert load_model(found.path).card.name == "tiny"
    assert hub.downloads == 1
    assert locate("org/tiny") == found
    assert hub.downloads == 1


def test_a_named_file_and_revision(hub: Hub) -> None:
    found = locate("org/tiny/other.safetensors@v1")
    assert (found.path.name, found.commit) == ("other.safetensors", COMMIT)
    assert "HEAD /org/tiny/resolve/v1/other.safetensors" in hub.requests
    assert locate("org/tiny/other.safetensors", revision="v1") == found


def test_a_pinned_commit_needs_no_question_when_cached(hub: Hub) -> None:
    find("org/tiny")
    hub.requests.clear()
    assert locate(f"org/tiny@{COMMIT}").commit == COMMIT
    assert hub.requests == []


def test_offline_with_a_warm_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = locate("org/tiny")
    hub.requests.clear()
    assert locate("org/tiny", offline=True) == found
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert locate("org/tiny") == found
    assert hub.requests == []


def test_offline_with_a_cold_cache(hub: Hub) -> None:
    assert "is not a name that the hub allows" in refusal("org/ti--ny", ModelNotFoundError, offline=True)
    message = refusal("org/tiny", ModelNotFoundError, offline=True)
    assert message.startswith("org/tiny/model.safetensors is not in the cache, and the hub may not be asked")
    assert hub.requests == []


@pytest.mark.slow
def test_the_environment_decides_where_and_whether(hub: Hub, tmp_path: Path) -> None:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", COMMAND, "org/tiny", *arguments]
        variables = environment(hub, tmp_path / "home", **more)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)

    assert (
        "ModelNotFoundError: org/tiny/model.safetensors is not in the cache" in run("offline").stderr.splitlines()[-1]
    )
    assert hub.requests == []
    warm = run()
    assert str(tmp_path / "home" / "hub" / "models--org--tiny") in warm.stdout
    assert warm.stderr == ""
    hub.requests.clear()
    assert COMMIT in run(HF_HUB_OFFLINE="1").stdout
    assert hub.requests == []


def test_the_hub_is_gone_but_the_cache_is_warm(hub: Hub) -> None:
    found = locate("org/tiny")
    hub.tampering = "broken"
    assert locate("org/tiny") == found


@pytest.mark.slow
def test_two_processes_fetch_at_once(hub: Hub, tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND, "org/tiny"]
    variables = environment(hub, tmp_path / "home")
    processes = [
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    (blob,) = (tmp_path / "home" / "hub" / "models--org--tiny" / "blobs").iterdir()
    assert blob.read_bytes() == hub.repositories["org/tiny"]["model.safetensors"]


def test_the_sha256_is_checked(hub: Hub) -> None:
    right = sha256_of(hub.repositories["org/tiny"]["model.safetensors"])
    found = find(f"org/tiny@main#sha256={right}")
    assert find("org/tiny", sha256=right.upper()) == found
    wrong = "0" * 64
    assert f"has sha256 {right}, not the {wrong}" in refusal(f"org/tiny#sha256={wrong}", WeightsError)
    assert f"has sha256 {right}, not the {wrong}" in refusal("org/tiny", WeightsError, sha256=wrong, offline=True)


def test_contradictions_and_nonsense_are_usage_errors(hub: Hub) -> None:
    assert "'v1', the option 'main'" in refusal("org/tiny@v1", UsageError, revision="main")
    assert "give one of them" in refusal(f"org/tiny#sha256={'0' * 64}", UsageError, sha256="1" * 64)
    assert "is not a sha256" in refusal("org/tiny#sha256=123", UsageError)
    assert "is not a sha256" in refusal("org/tiny", UsageError, sha256="x" * 64)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["org/tiny/none.safetensors", "org/none", "org/tiny@v9", "org/ti--ny"])
def test_what_the_hub_does_not_have(hub: Hub, name: str) -> None:
    reasons = {
        "org/tiny/none.safetensors": "org/tiny on the hub has no file none.safetensors; name one: org/name[",
        "org/none": "org/none/model.safetensors is neither a file here nor in a public repository on the hub",
        "org/tiny@v9": "org/tiny has no revision 'v9' on the hub",
        "org/ti--ny": "is not a name that the hub allows",
    }
    assert reasons[name] in refusal(name, ModelNotFoundError)


def test_a_gated_repository(hub: Hub) -> None:
    hub.tampering = "gated"
    assert "is gated; ask for access" in refusal("org/tiny", ModelNotFoundError)


def test_a_truncated_body_leaves_nothing_behind(hub: Hub) -> None:
    hub.tampering = "truncate"
    assert "could not be fetched from the hub" in refusal("org/tiny", WeightsError)
    hub.tampering = ""
    assert load_model(find("org/tiny")).card.name == "tiny"


def test_a_corrupt_body_is_noticed_each_time_until_it_is_deleted(hub: Hub) -> None:
    hub.tampering = "corrupt"
    message = refusal("org/tiny", WeightsError)
    hub.tampering = ""
    assert refusal("org/tiny", WeightsError, offline=True) == message
    blob = Path(message.partition("delete ")[2].partition(" and fetch")[0])
    blob.unlink()
    assert load_model(find("org/tiny")).card.name == "tiny"


def test_a_login_page_instead_of_the_hub(hub: Hub) -> None:
    hub.tampering = "portal"
    message = refusal("org/tiny", ModelNotFoundError)
    assert "is not in the cache, and the hub gave no usable answer" in message


def test_a_page_uploaded_as_weights_is_refused_on_loading(hub: Hub) -> None:
    with pytest.raises(WeightsError, match="is a web page"):
        load_model(find("org/tiny/page.safetensors"))
    with pytest.raises(WeightsError, match="truncated or damaged"):
        load_model(find("org/tiny/other.safetensors"))


def test_a_cache_that_cannot_be_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file in the way")
    assert "could not be fetched from the hub" in refusal("org/tiny", WeightsError)


def test_a_file_here_comes_before_the_hub(hub: Hub) -> None:
    Path("org/tiny").mkdir(parents=True)
    local = write_model(Path("org/tiny/model.safetensors"))
    assert locate("org/tiny/model.safetensors").path == local
    assert "org/tiny: a folder, not a model" in refusal("org/tiny", ModelNotFoundError)
    assert hub.requests == []
