"""Weights files: safetensors with a model card and a checksum in the header. Nothing here opens a pickle.

A tensor is float16 in the file if that loses nothing, else float32; in memory it is always float32.

The header's metadata has two keys. `restorekit.card` is the card's JSON. `restorekit.sha256` is the hash of that text
and of every tensor as it is in the file (see `contents_sha256`), so that no flipped bit goes unnoticed.
"""

import hashlib
import json
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Self

import safetensors.torch
import torch
from annotated_types import Interval
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError
from torch import Tensor

from restorekit import models
from restorekit.errors import ModelMismatchError, WeightsError
from restorekit.image import show_path, write_file
from restorekit.settings import Settings, read_settings
from restorekit.types import CHANNELS

FORMAT_VERSION = 2
CARD_KEY, SHA256_KEY = "restorekit.card", "restorekit.sha256"
_Count = Annotated[int, Interval(ge=0, lt=10**12)]
_Number = Annotated[float, Interval(ge=-1e12, le=1e12)]  # which refuses NaN, too
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_PICKLE_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class CardFigure(Settings):
    """The mean quality of a model over a data set such as "BSD68" at one conditioning, as in `conditioning_range`.

    quality: the `--quality` used. psnr: in dB. ssim: in [-1, 1], or None if it was not measured.
    """

    dataset: str
    conditioning: Annotated[_Number, Field(alias="level")]  # its name in the file
    quality: str
    psnr: _Number
    ssim: _Number | None = None


@dataclass(frozen=True)
class ModelCard(Settings):
    """Everything needed to build a model again, and to judge it.

    name: what users call it, and the file's name without the suffix. architecture, settings: what `models.build` takes.
    task: what it was trained for, such as "denoise". channels: 1 grey, 2 complex, 3 RGB. conditioning_range: the least
    and the greatest conditioning it was trained for: sigma on the scale 0..255 for denoise and deblur, the JPEG
    quality factor for deblock, the scale for superres, the sampling rate in percent for cs-mri, 0 and 0 for demosaic.
    parameters: how many numbers were learned. description: one sentence for people. recipe, recipe_sha256: the training
    recipe's name and the hash of its text. training_data: where the images came from. steps: the training step whose
    weights these are. package_version: of the restorekit that wrote the file. licence: an SPDX identifier. measured:
    results on test sets.
    """

    name: str
    architecture: str
    settings: Mapping[str, object]
    task: str
    channels: Annotated[int, Interval(ge=min(CHANNELS), le=max(CHANNELS))]
    conditioning_range: Annotated[tuple[_Number, _Number], Field(alias="level_range")]  # its name in the file
    parameters: _Count
    description: str
    recipe: str
    recipe_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    training_data: str
    steps: _Count
    package_version: str
    licence: str
    measured: tuple[CardFigure, ...] = ()

    def __post_init__(self) -> None:
        low, high = self.conditioning_range
        if not 0 <= low <= high:
            raise ValueError(f"level_range: {low:g} to {high:g} must be two numbers, 0 <= least <= greatest")

    @property
    def level_range(self) -> tuple[float, float]:
        """The name of `conditioning_range` in earlier versions."""
        warnings.warn("level_range is called conditioning_range", DeprecationWarning, stacklevel=2)
        return self.conditioning_range

    def covers(self, conditioning: float) -> bool:
        """Return whether the model was trained for a conditioning, up to rounding errors of a change of units."""
        low, high = self.conditioning_range
        return low <= round(conditioning, 6) <= high

    @property
    def range_text(self) -> str:
        """The conditioning range, such as "2 to 4", or its only value."""
        low, high = self.conditioning_range
        return f"{low:g}" if low == high else f"{low:g} to {high:g}"

    def to_json(self) -> str:
        """Return the card as a JSON object: its fields, and `format`, the version of this layout."""
        document = TypeAdapter(ModelCard).dump_python(self, by_alias=True, warnings=False)
        return json.dumps({"format": FORMAT_VERSION, **document}, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the card that `to_json` wrote. Raise WeightsError for any other text, by the name of the wrong key."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the model card is not valid JSON ({error})") from error
        if not isinstance(document, dict):
            raise WeightsError(f"the model card must be a JSON object, not a {type(document).__name__}")
        if (version := document.pop("format", None)) != FORMAT_VERSION:
            reads = f"this version of restorekit reads {FORMAT_VERSION}; upgrade it or export the model again"
            raise WeightsError(f"the model card has format {version!a:.60}, {reads}")
        # A card in a file always says what was measured, even if that is nothing.
        return read_settings(cls, {"measured": None, **document}, "the model card", WeightsError)


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write a network's `state_dict` and its card to a file, whole or not at all, in place of any file of that name.

    The tensors are float32, finite and on any device. One whose every number is exact in float16 is stored as float16:
    to halve a file, round its tensors before (`tensor.half().float()`), and measure what that costs. Raise WeightsError
    if `load_weights` would refuse the file, OutputError if it cannot be written.
    """
    with _naming(path):
        copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        _check_numbers(copies, torch.float32)
        for name, tensor in copies.items():
            if torch.equal(half := tensor.half(), tensor):
                copies[name] = half
        text = card.to_json()
        ModelCard.from_json(text)
        metadata = {CARD_KEY: text, SHA256_KEY: contents_sha256(text, copies)}
    write_file(path, safetensors.torch.save(copies, metadata), overwrite=True)


def read_card(path: Path) -> ModelCard:
    """Return the card of a weights file; only its header is read and checked. Raise WeightsError if it has none."""
    with _naming(path), _open(path) as file:
        return ModelCard.from_json(_read_header(file)[0])


def load_weights(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    """Return the card and the tensors of a weights file, float32 on the CPU.

    Raise WeightsError if the file cannot be read, is empty, truncated, damaged, foreign or a pickle, or if its tensors
    are not finite or neither float16 nor float32.
    """
    with _naming(path):
        with _open(path) as file:
            card_json, sha256 = _read_header(file)
            card = ModelCard.from_json(card_json)
            file.seek(0)
            try:
                tensors = safetensors.torch.load(file.read())
            except (SafetensorError, KeyError) as error:  # KeyError: a type that this PyTorch does not have
                raise WeightsError(f"truncated or damaged ({error}); get the file again") from error
        _check_numbers(tensors, torch.float16, torch.float32)
        if contents_sha256(card_json, tensors) != sha256:
            raise WeightsError("damaged: the checksum in its header is not that of its contents; get the file again")
        return card, {name: tensor.float() for name, tensor in tensors.items()}


def contents_sha256(card_json: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the card's JSON and, in the order of names, of each tensor's content.

    The content is a line "name [shape]" and the little-endian numbers, float16 or float32 as in the file.
    """
    digest = hashlib.sha256(card_json.encode())
    for name, tensor in sorted(tensors.items()):
        numbers = tensor.numpy()
        digest.update(f"\n{name} {list(tensor.shape)}\n".encode())
        digest.update(numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise what is wrong with a file as a WeightsError of one printable line that names the file."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{show_path(path)}: cannot be read ({error.strerror or error})") from error
    except WeightsError as error:
        message = " ".join(str(error).split())
        raise WeightsError(f"{show_path(path)}: {message if message.isprintable() else ascii(message)}") from error


def _open(path: Path) -> BinaryIO:
    # Opening a fifo would wait for a writer for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        raise WeightsError("not a regular file; expected a .safetensors file")
    return path.open("rb")


def _read_header(file: BinaryIO) -> tuple[str, str]:
    """Read `<8 bytes: length n> <n bytes: JSON> <tensors>` up to the tensors; return the card's JSON and the sha256."""
    start = file.read(512)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > _MAX_HEADER_BYTES:
        raise WeightsError(_describe_foreign(start))
    file.seek(8)
    try:
        metadata = json.loads(file.read(length))["__metadata__"]
        return str(metadata[CARD_KEY]), str(metadata[SHA256_KEY])
    except (KeyError, TypeError) as error:
        raise WeightsError("not by restorekit: a safetensors file without a restorekit model card") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError("truncated or damaged: its header is not valid JSON; get the file again") from error


def _describe_foreign(start: bytes) -> str:
    """Return what a file that is not safetensors seems to be, from its first bytes."""
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the weights themselves; run `git lfs pull`"
    if not start:
        found = "empty (zero bytes)"
    elif start.startswith(_PICKLE_PROTOCOLS) or (start.startswith(b"PK") and b"data.pkl" in start):
        found = "is a pickle, which restorekit never opens"
    elif start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        found = "is a web page (HTML or XML), so something went wrong in the download"
    else:
        found = "is not a safetensors file, or only the first bytes of one"
    return f"{found}; expected a .safetensors file written by restorekit"


def _check_numbers(tensors: Mapping[str, Tensor], *dtypes: torch.dtype) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in dtypes:
            raise WeightsError(f"tensor {name!r} is of type {tensor.dtype}; expected {' or '.join(map(str, dtypes))}")
        if not torch.isfinite(tensor).all():
            why = "its training has failed, or the file is damaged"
            raise WeightsError(f"tensor {name!r} holds NaN or infinite values; {why}")


@dataclass(frozen=True)
class LoadedModel:
    """A network with its learned numbers, in eval mode, on the CPU, without gradients; and the file it came from."""

    card: ModelCard
    network: models.Reconstructor
    path: Path

    @property
    def patch_network(self) -> models.PatchNetwork:
        """The network if it restores patches; ModelMismatchError if it reconstructs from k-space or the like."""
        if not isinstance(self.network, models.PatchNetwork):
            raise ModelMismatchError(f"{self.card.name} is a model to {self.card.task}, and restores nothing else")
        return self.network


def load_model(path: Path) -> LoadedModel:
    """Build the network that a weights file describes and give it the file's numbers.

    Raise WeightsError as `load_weights` does, and if the tensors are not those of the network on the card.
    """
    card, tensors = load_weights(path)
    with _naming(path):
        try:
            # On the meta device nothing is allocated, whatever sizes a foreign card asks for.
            with torch.device("meta"):
                outline = models.build(card.architecture, card.settings)
            outline.load_state_dict(tensors, assign=True)
        except (RuntimeError, OverflowError, TypeError) as error:
            raise WeightsError(f"the tensors are not those of the network on the model card ({error})") from error
        if outline.channels != card.channels:
            raise WeightsError(f"the model card says {card.channels} channels, its settings {outline.channels}")
        network = models.build(card.architecture, card.settings)
    network.load_state_dict(tensors, strict=True)
    return LoadedModel(card, network.eval().requires_grad_(False), path)
