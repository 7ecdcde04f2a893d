"""Weights files: safetensors with a model card and a checksum in the header. Nothing here opens a pickle.

The header's metadata has two keys. `restorekit.card` is the card's JSON; `restorekit.sha256` is the hash of that text
followed by every tensor in the order of their names (see `contents_sha256`), so that no bit can flip unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from restorekit import models
from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.image import show_path, write_file
from restorekit.zoo.card import ModelCard

CARD_KEY = "restorekit.card"
SHA256_KEY = "restorekit.sha256"

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_PICKLE_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write a weights file, whole or not at all, in place of any file of that name.

    Args:
        path: where to; its folder must exist.
        tensors: a network's `state_dict`: float32, finite, on any device.
        card: what `load_model` will need and `restorekit models info` shows.

    Raises:
        WeightsError: something that `load_weights` would refuse.
        OutputError: the file cannot be written.
    """
    with _naming(path):
        copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        _check_finite_float32(copies)
        text = card.to_json()
        ModelCard.from_json(text)
        metadata = {CARD_KEY: text, SHA256_KEY: contents_sha256(text, copies)}
    write_file(path, safetensors.torch.save(copies, metadata), overwrite=True)


def read_card(path: Path) -> ModelCard:
    """The card of a weights file; only the header is read, so the tensors are not checked.

    Raises:
        WeightsError: the file cannot be read or is no weights file of restorekit.
    """
    with _naming(path), _opened(path) as file:
        return ModelCard.from_json(_read_header(file).card_json)


def load_weights(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """The card and the tensors of a weights file, on the CPU.

    Raises:
        WeightsError: the file cannot be read, is empty, truncated, damaged, foreign or a pickle, or holds tensors that
            are not finite float32.
    """
    with _naming(path):
        with _opened(path) as file:
            header = _read_header(file)
            card = ModelCard.from_json(header.card_json)
            file.seek(0)
            data = file.read()
        for name, kind in header.dtypes.items():
            if kind != "F32":
                raise WeightsError(f"tensor {name!r} is of type {kind}; expected F32")
        try:
            tensors = safetensors.torch.load(data)
        except SafetensorError as error:
            raise WeightsError(f"truncated or damaged ({' '.join(str(error).split())}); get the file again") from error
        if contents_sha256(header.card_json, tensors) != header.sha256:
            raise WeightsError("damaged: the checksum in its header is not that of its contents; get the file again")
        _check_finite_float32(tensors)
        return card, tensors


def contents_sha256(card_json: str, tensors: Mapping[str, Tensor]) -> str:
    """sha256 of the card's JSON, then for each name in order: a line "name [shape]" and the little-endian numbers."""
    digest = hashlib.sha256(card_json.encode())
    for name in sorted(tensors):
        digest.update(f"\n{name} {list(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Header:
    card_json: str
    sha256: str
    dtypes: Mapping[str, object]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{show_path(path)}: {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        # Opening a fifo would wait for a writer for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise WeightsError("not a regular file; expected a .safetensors file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror or error})") from error


def _read_header(file: BinaryIO) -> _Header:
    """Parse `<8 bytes: length n> <n bytes: JSON> <tensors>` up to the tensors."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(512)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > _MAX_HEADER_BYTES:
        raise WeightsError(_describe_foreign(start))
    if 8 + length > size:
        raise WeightsError(f"truncated: {size} bytes, of which the header alone takes {8 + length}; get the file again")
    file.seek(8)
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise WeightsError("damaged: its header is not valid JSON; get the file again") from error
    metadata = header.pop("__metadata__", None)
    card_json, sha256 = (metadata.get(key) if isinstance(metadata, dict) else None for key in (CARD_KEY, SHA256_KEY))
    if not isinstance(card_json, str) or not isinstance(sha256, str):
        raise WeightsError(
            "a safetensors file without a restorekit model card; only files that restorekit has written can be loaded"
        )
    dtypes = {name: entry.get("dtype") if isinstance(entry, dict) else None for name, entry in header.items()}
    return _Header(card_json, sha256, dtypes)


def _describe_foreign(start: bytes) -> str:
    """What a file that is not safetensors seems to be, from its first bytes."""
    expected = "expected a .safetensors file written by restorekit"
    if not start:
        return f"empty (zero bytes); {expected}"
    if start.startswith(_PICKLE_PROTOCOLS) or (start.startswith(b"PK") and b"data.pkl" in start):
        return f"is a pickle, which restorekit never opens; {expected}"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return f"is a web page (HTML or XML), so something went wrong in the download; {expected}"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves; run `git lfs pull`"
    return f"is not a safetensors file, or only the first bytes of one; {expected}"


def _check_finite_float32(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise WeightsError(f"tensor {name!r} is of type {tensor.dtype}; expected torch.float32")
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"tensor {name!r} holds NaN or infinite values; the training has failed")


@dataclass(frozen=True)
class LoadedModel:
    """A network with its learned numbers, in eval mode, on the CPU, without gradients; and where it came from."""

    card: ModelCard
    network: models.Reconstructor
    path: Path

    @property
    def patch_network(self) -> models.PatchNetwork:
        """The network, if it restores patches. Raises ModelMismatchError for one that reconstructs from recordings."""
        if not isinstance(self.network, models.PatchNetwork):
            raise ModelMismatchError(f"{self.card.name} is a model to {self.card.task}, and restores nothing else")
        return self.network


def load_model(path: Path) -> LoadedModel:
    """Build the network that a weights file describes and give it the file's numbers.

    Raises:
        WeightsError: see `load_weights`; or the file's tensors are not those of the network on its card.
    """
    card, tensors = load_weights(path)
    try:
        # On the meta device nothing is allocated, whatever sizes a foreign card asks for.
        with torch.device("meta"):
            outline = _build(card)
        _check_fit(tensors, outline.state_dict())
        if outline.channels != card.channels:
            raise WeightsError(f"the model card says {card.channels} channels, its settings {outline.channels}")
        network = _build(card)
    except WeightsError as error:
        raise WeightsError(f"{show_path(path)}: {error}") from error
    network.load_state_dict(tensors, strict=True)
    return LoadedModel(card, network.eval().requires_grad_(False), path)


def _build(card: ModelCard) -> models.Reconstructor:
    try:
        return models.build(card.architecture, card.settings)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise WeightsError("the settings on the model card describe a network of impossible size") from error


def _check_fit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless names and shapes are those expected."""
    needed = ", ".join(expected)
    for name in expected:
        if name not in tensors:
            raise WeightsError(f"tensor {name!r} is missing; the network needs {needed}")
    for name in sorted(tensors):
        if name not in expected:
            raise WeightsError(f"tensor {name!r} is not part of the network; it needs {needed}")
    for name, wanted in expected.items():
        if tensors[name].shape != wanted.shape:
            shapes = f"{list(tensors[name].shape)}; the network on the model card needs {list(wanted.shape)}"
            raise WeightsError(f"tensor {name!r} has shape {shapes}")
