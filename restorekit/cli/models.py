"""`restorekit models`: which there are, what is known about them, where their files are, are they whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restorekit.cli.options import MessageOptions, command
from restorekit.errors import UnsupportedImageError, UsageError

if TYPE_CHECKING:
    from restorekit.zoo import CardFigure, ModelCard, ModelFile

models_app = typer.Typer(help="List, explain, fetch and check models.")

Name = Annotated[
    str, typer.Argument(metavar="NAME|PATH", help="A listed model, a weights file, or org/name[@revision] on the hub.")
]
Revision = Annotated[
    str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of a model on the hub.")
]
Sha256 = Annotated[str | None, typer.Option("--sha256", metavar="HASH", help="What the file must hash to.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Never touch the network, only its cache (also HF_HUB_OFFLINE=1).")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

_LEVELS = {
    "denoise": "sigma",
    "deblock": "quality factor",
    "deblur": "noise",
    "superres": "scale",
    "cs-mri": "sampled",
}
"""What a level on a card is called; demosaicking knows no levels."""


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List, explain, fetch and check models; without a subcommand, list those installed."""
    if context.invoked_subcommand is None:
        list_models(as_json=as_json, quiet=False, verbose=False)


@models_app.command("list")
@command
def list_models(messages: MessageOptions, as_json: AsJson = False) -> None:
    """List the models that are installed with the package."""
    from restorekit.zoo import default_of, shipped_models

    shipped = shipped_models()
    if as_json:
        _print_json([_document(model.card, model.path) for model in shipped])
        return
    from rich.table import Table

    from restorekit.cli.console import make_console

    table = Table("name", "task", "default of", "images", "levels", "parameters", "PSNR measured (dB)")
    for model in shipped:
        card = model.card
        table.add_row(
            card.name,
            card.task,
            ", ".join(default_of(model.path)),
            _images(card),
            _range_text(card),
            f"{card.parameters:,}",
            "\n".join(_summaries(card)),
        )
    make_console(stderr=False).print(table)


@models_app.command("info")
@command
def info(
    name: Name,
    messages: MessageOptions,
    revision: Revision = None,
    sha256: Sha256 = None,
    offline: Offline = False,
    as_json: AsJson = False,
    atoms: Annotated[
        Path | None,
        typer.Option(
            "--atoms",
            metavar="IMG",
            help="Draw the dictionary too: the atoms that codes are found with, and those that estimates are sums of.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace IMG if it exists.")] = False,
) -> None:
    """Show everything on a model's card."""
    from restorekit.cli.console import make_console
    from restorekit.image import show_path
    from restorekit.zoo import locate, read_card

    if overwrite and atoms is None:
        raise UsageError("--overwrite is for the picture of --atoms")
    file = locate(name, revision=revision, sha256=sha256, offline=offline)
    card = read_card(file.path)
    if atoms is not None:
        _draw_atoms(file.path, atoms, overwrite=overwrite)
        if not messages.quiet:
            make_console(stderr=True).print(f"{show_path(atoms)}: the atoms of {card.name}", soft_wrap=True)
    if as_json:
        _print_json(_document(card, file.path))
        return
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _card_rows(card, file):
        table.add_row(key, value)
    make_console(stderr=False).print(table)


@models_app.command("path")
@command
def path(
    name: Name,
    messages: MessageOptions,
    revision: Revision = None,
    sha256: Sha256 = None,
    offline: Offline = False,
) -> None:
    """Print the path of a model's file, fetching it where it is only on the hub."""
    from restorekit.zoo import find

    print(find(name, revision=revision, sha256=sha256, offline=offline))


@models_app.command("fetch")
@command
def fetch(name: Name, messages: MessageOptions, revision: Revision = None, sha256: Sha256 = None) -> None:
    """Fetch a model from the hub into the cache (where HF_HOME says) and check it, for later use offline."""
    _check(name, messages, revision=revision, sha256=sha256, offline=False)


@models_app.command("check")
@command
def check(
    name: Name,
    messages: MessageOptions,
    revision: Revision = None,
    sha256: Sha256 = None,
    offline: Offline = False,
) -> None:
    """Check that a model's file is whole and what its card says: checksum, tensors, shapes, values."""
    _check(name, messages, revision=revision, sha256=sha256, offline=offline)


@models_app.command("record")
@command
def record(
    weights: Annotated[Path, typer.Argument(metavar="FILE", help="The weights file of a model.")],
    evaluation: Annotated[
        Path, typer.Option("--from", metavar="JSON", help="What `restorekit eval --model FILE --json JSON` wrote.")
    ],
    messages: MessageOptions,
) -> None:
    """Write what an evaluation measured onto the card of the model it measured."""
    from restorekit.cli.console import make_console
    from restorekit.evaluate import record_measurements
    from restorekit.image import show_path

    card = record_measurements(weights, evaluation)
    if not messages.quiet:
        text = f"{show_path(weights)}: {len(card.measured)} measurements on the card of {card.name}"
        make_console(stderr=True).print(text, soft_wrap=True)


def _draw_atoms(model: Path, path: Path, *, overwrite: bool) -> None:
    from restorekit.explain import dictionary_of, draw_dictionary
    from restorekit.image import Metadata, Picture, check_output, file_format_of, show_path, write_picture
    from restorekit.zoo import load_model

    try:
        file_format_of(path)
    except UnsupportedImageError as error:
        raise UsageError(f"--atoms {show_path(path)}: {error}") from None
    check_output(path, overwrite=overwrite)
    picture = Picture(draw_dictionary(dictionary_of(load_model(model))), Metadata("png"))
    write_picture(path, picture, overwrite=overwrite)


def _check(name: str, messages: MessageOptions, *, revision: str | None, sha256: str | None, offline: bool) -> None:
    from restorekit.cli.console import make_console
    from restorekit.image import show_path
    from restorekit.zoo import load_model, locate

    file = locate(name, revision=revision, sha256=sha256, offline=offline)
    model = load_model(file.path)
    if not messages.quiet:
        commit = f", commit {file.commit}" if file.commit else ""
        text = f"{model.card.name}: good ({show_path(file.path)}{commit})"
        make_console(stderr=True).print(text, soft_wrap=True)


def _card_rows(card: ModelCard, file: ModelFile) -> list[tuple[str, str]]:
    from restorekit.image import show_path
    from restorekit.zoo import default_of

    defaults = default_of(file.path)
    rows = [
        ("name", card.name),
        ("description", card.description),
        ("task", card.task),
        *([("default of", ", ".join(defaults))] if defaults else []),
        ("images", _images(card)),
        *([("levels", _range_text(card))] if card.task in _LEVELS else []),
        ("architecture", card.architecture),
        ("settings", ", ".join(f"{key} {_setting_text(value)}" for key, value in card.settings.items())),
        ("parameters", f"{card.parameters:,}"),
        ("recipe", f"{card.recipe} (sha256 {card.recipe_sha256[:12]})"),
        ("training data", card.training_data),
        ("steps", f"{card.steps:,}"),
        ("written by", f"restorekit {card.package_version}"),
        ("licence", card.licence),
        ("file", show_path(file.path)),
    ]
    if file.commit is not None:
        rows.append(("commit", file.commit))
    return rows + [("measured" if index == 0 else "", text) for index, text in enumerate(_details(card))]


def _setting_text(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_setting_text(inner)}" for key, inner in value.items()) + ")"
    if isinstance(value, list):
        return "[" + " ".join(_setting_text(level) for level in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _details(card: ModelCard) -> list[str]:
    """One line a measurement."""
    lines = []
    for found in card.measured:
        ssim = "" if found.ssim is None else f", SSIM {found.ssim:.4f}"
        level = f", {_LEVELS[card.task]} {found.level:g}" if card.task in _LEVELS else ""
        lines.append(f"{found.dataset}{level}, {found.quality}: {found.psnr:.2f} dB{ssim}")
    return lines


def _summaries(card: ModelCard) -> list[str]:
    """One line for each data set and quality: the PSNR at each level."""
    groups: dict[tuple[str, str], list[CardFigure]] = {}
    for found in card.measured:
        groups.setdefault((found.dataset, found.quality), []).append(found)
    return [
        f"{dataset}, {quality}: " + ", ".join(f"{found.psnr:.2f}{_at_level(card, found)}" for found in group)
        for (dataset, quality), group in groups.items()
    ]


def _at_level(card: ModelCard, found: CardFigure) -> str:
    return f" at {found.level:g}" if card.task in _LEVELS else ""


def _range_text(card: ModelCard) -> str:
    """The levels with their name, such as `sigma 0 to 75 (of 255)`; nothing for a task without levels."""
    if card.task not in _LEVELS:
        return ""
    unit = {"denoise": " (of 255)", "deblur": " (of 255)", "cs-mri": " %"}.get(card.task, "")
    return f"{_LEVELS[card.task]} {card.levels}{unit}"


def _images(card: ModelCard) -> str:
    """What a model takes: one for MRI real and complex images, whichever it learned from."""
    from restorekit.zoo import CHANNELS

    return "grey and complex" if card.task == "cs-mri" else CHANNELS[card.channels]


def _document(card: ModelCard, path: Path) -> dict[str, object]:
    from restorekit.zoo import default_of

    return {**asdict(card), "default_of": default_of(path), "path": str(path)}


def _print_json(document: object) -> None:
    print(json.dumps(document, indent=2), file=sys.stdout)
