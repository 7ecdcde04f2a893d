from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from zoo_files import card, forge, network, write_model

from restorekit.errors import OutputError, WeightsError
from restorekit.zoo import load_model, load_weights, read_card, save_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.safetensors")


def refusal(path: Path) -> str:
    """Why the file is refused, in one line that names it."""
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert message.isprintable()
    assert path.stem in message
    return message


def test_card_and_tensors_survive(path: Path) -> None:
    found, tensors = load_weights(path)
    assert found == read_card(path) == card()
    expected = network().state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_the_checksum_is_the_documented_one(path: Path) -> None:
    forged = forge(path.with_name("forged.safetensors"), network().state_dict(), card().to_json())
    assert load_weights(forged)[0] == card()


def test_float16_files_are_loaded_as_float32(path: Path) -> None:
    tensors = {"a": torch.tensor([0.1, -3e-7, 65504]).half(), "b": torch.tensor([[0.1]])}
    found = load_weights(forge(path, tensors, card().to_json()))[1]
    assert [tensor.dtype for tensor in found.values()] == [torch.float32] * 2
    assert torch.equal(found["a"], tensors["a"].float())
    assert torch.equal(found["b"], tensors["b"])


def test_tensors_are_float16_in_the_file_only_where_that_loses_nothing(path: Path) -> None:
    tensors = {"exact": torch.tensor([1, -0.0, 0.1]).half().float(), "fine": torch.tensor([1 + 2**-11, 1e-9, 1e5])}
    save_weights(path, tensors, card())
    for _ in range(2):  # also after loading and saving again
        stored = safetensors.torch.load_file(path)
        assert {name: value.dtype for name, value in stored.items()} == {"exact": torch.float16, "fine": torch.float32}
        found = load_weights(path)[1]
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
        save_weights(path, found, card())


def test_views_and_shared_tensors_are_saved(tmp_path: Path) -> None:
    matrix = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path / "a.safetensors", {"a": matrix.T, "b": matrix[:, 0], "c": matrix}, card())
    assert torch.equal(load_weights(tmp_path / "a.safetensors")[1]["a"], matrix.T)


def test_saving_replaces_and_leaves_nothing_else(path: Path) -> None:
    save_weights(path, {"a": torch.zeros(2)}, card())
    assert list(load_weights(path)[1]) == ["a"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "tensor", [torch.tensor([float("nan")]), torch.tensor([float("inf")]), torch.zeros(1).double()]
)
def test_what_could_not_be_loaded_is_not_saved(path: Path, tensor: torch.Tensor) -> None:
    before = path.read_bytes()
    with pytest.raises(WeightsError, match=r"tiny.safetensors: tensor 'a'"):
        save_weights(path, {"a": tensor}, card())
    with pytest.raises(WeightsError, match=r"tiny.safetensors: the model card: channels: "):
        save_weights(path, {"a": torch.zeros(1)}, card(channels=4))
    assert path.read_bytes() == before


def test_saving_into_no_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no folder"):
        save_weights(tmp_path / "nowhere" / "a.safetensors", {"a": torch.zeros(1)}, card())


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for position in range(0, len(data), 3):  # 3 and 8 have no common divisor, so every bit of a byte has its turn
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        refusal(path)


def test_a_flipped_bit_in_the_numbers_says_so(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "damaged: the checksum" in refusal(path)
    assert read_card(path) == card()


def test_truncated_files_are_refused(path: Path) -> None:
    data = path.read_bytes()
    for size in (1, 8, 9, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert "truncated" in refusal(path) or "only the first bytes" in refusal(path)
    path.write_bytes(data + b"\0")
    refusal(path)


def test_an_empty_file_is_refused(path: Path) -> None:
    path.write_bytes(b"")
    assert "empty (zero bytes); expected a .safetensors file" in refusal(path)


def test_pickles_are_refused_and_not_opened(path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(path.with_name("sprung")),)

    archive = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "trap": Trap()}, archive)
    legacy = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, legacy, _use_new_zipfile_serialization=False)
    for data in (archive.getvalue(), legacy.getvalue(), *(pickle.dumps(Trap(), protocol) for protocol in (2, 3, 4, 5))):
        path.write_bytes(data)
        assert "is a pickle, which restorekit never opens" in refusal(path)
    assert not path.with_name("sprung").exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "web page"),
        (b"\xef\xbb\xbf\r\n <html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"Not found", "not a safetensors file"),
        (b"\xff" * 600, "not a safetensors file"),
        (b"\x05\0\0\0\0\0\0\0{bad}", "not valid JSON"),
        (b"\x02\0\0\0\0\0\0\0{}", "without a restorekit model card"),
    ],
)
def test_other_files_are_refused(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    assert reason in refusal(path)
    with pytest.raises(WeightsError, match=reason):
        read_card(path)


def test_foreign_safetensors_are_refused(path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"restorekit.card": card().to_json()}):
        path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, metadata))
        assert "without a restorekit model card" in refusal(path)


def test_wrong_numbers_are_refused(path: Path) -> None:
    text = card().to_json()
    assert "tensor 'a' holds NaN" in refusal(forge(path, {"a": torch.tensor([1, float("nan")])}, text))
    assert "tensor 'a' holds NaN or inf" in refusal(forge(path, {"a": torch.tensor(float("-inf"))}, text))
    for tensor in (torch.zeros(1).long(), torch.zeros(1).double(), torch.zeros(1).bool()):
        reason = f"tensor 'a' is of type {tensor.dtype}; expected torch.float16 or torch.float32"
        assert reason in refusal(forge(path, {"a": tensor}, text))
    path.write_bytes(
        safetensors.torch.save(
            {"a": torch.zeros(1).bfloat16()}, {"restorekit.card": text, "restorekit.sha256": "0" * 64}
        )
    )
    assert "tensor 'a' is of type torch.bfloat16" in refusal(path)


def test_a_bad_card_is_refused(path: Path) -> None:
    assert "not valid JSON" in refusal(forge(path, {"a": torch.zeros(1)}, "{"))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in refusal(tmp_path / "fifo")
    assert "not a regular file" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "nowhere")
    assert "Not a directory" in refusal(write_model(tmp_path / "a.safetensors") / "below")


def test_names_with_newlines_stay_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nb"
    path.write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert str(caught.value).isprintable()


def test_the_network_is_the_one_that_was_saved(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.safetensors")
    model = load_model(path)
    assert (model.card, model.path) == (card(), path)
    noisy, sigma = torch.rand(1, 1, 8, 9), torch.tensor([0.05])
    for found, expected in zip(model.network(noisy, sigma), network()(noisy, sigma), strict=True):
        assert torch.allclose(found, expected, rtol=1e-5)
        assert not found.requires_grad
    assert not model.network.training


def misfit(path: Path, tensors: dict[str, torch.Tensor], **changes: object) -> str:
    """Why the file with these tensors and a changed card makes no network."""
    save_weights(path, tensors, card(**changes))
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_tensors_must_be_those_of_the_network(tmp_path: Path) -> None:
    path, tensors = tmp_path / "tiny.safetensors", network().state_dict()
    missing = {name: tensor for name, tensor in tensors.items() if name != "analysis"}
    assert 'Missing key(s) in state_dict: "analysis"' in misfit(path, missing)
    assert 'Unexpected key(s) in state_dict: "extra"' in misfit(path, {**tensors, "extra": torch.zeros(1)})
    assert "size mismatch for dictionary" in misfit(path, {**tensors, "dictionary": torch.zeros(4, 9)})


def test_the_card_must_describe_a_network(tmp_path: Path) -> None:
    path, tensors, settings = tmp_path / "tiny.safetensors", network().state_dict(), dict(card().settings)
    assert "unknown architecture 'u-net'" in misfit(path, tensors, architecture="u-net")
    assert "channels: Field required" in misfit(path, tensors, settings={})
    assert "size mismatch for dictionary" in misfit(path, tensors, settings={**settings, "atoms": 8})
    assert "the model card says 3 channels, its settings 1" in misfit(path, tensors, channels=3)


@pytest.mark.parametrize("atoms", [10**9, 10**18, 10**40])
def test_impossible_sizes_are_refused_without_allocating(tmp_path: Path, atoms: int) -> None:
    settings = {**card().settings, "atoms": atoms}
    misfit(tmp_path / "tiny.safetensors", network().state_dict(), settings=settings)
