"""`restorekit models`: list, explain, find, fetch and check models, and record their figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli.options import MessageOptions, command
from restorekit.cli.output import make_console, print_json
from restorekit.errors import UnsupportedImageError, UsageError
from restorekit.tasks import TASKS, default_of, get_task
from restorekit.tasks.prelude import imaging, selection, zoo
from restorekit.types import CHANNELS, DefaultModels, Option, Units

models_app = typer.Typer(help="List, explain, fetch and check models.")

Name = Annotated[
    str, Option("A listed model, a weights file, or org/name[@revision] on the hub.", "NAME|PATH", argument=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output.", metavar="")]


@dataclass(frozen=True)
class VersionOptions:
    """Which version of a model it must be."""

    revision: Annotated[str | None, Option("Branch, tag or commit of a model on the hub.", "REV")] = None
    sha256: Annotated[str | None, Option("The SHA-256 hash that the file must have.", "HASH")] = None

    def locate(self, name: str) -> zoo.ModelFile:
        """Return the file of a model; fetch it first if it is on the hub."""
        return zoo.locate(name, **vars(self))


@dataclass(frozen=True)
class SourceOptions(VersionOptions):
    """Which version of a model it must be, and whether it may be fetched."""

    offline: Annotated[bool, Option("Use no network, only the cache of the hub (also HF_HUB_OFFLINE=1).")] = False


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List, explain, fetch and check models; without a subcommand, list the installed ones."""
    if context.invoked_subcommand is None:
        list_models(as_json=as_json, quiet=False, verbose=False)


@models_app.command("list")
@command
def list_models(_messages: MessageOptions, as_json: AsJson = False) -> None:
    """List the installed models, and the pictures that each is for."""
    from rich.table import Table

    shipped = zoo.shipped_models()
    if as_json:
        print_json([_document(model.card, model.path) for model in shipped])
        return
    table = Table("task", "model", "for", box=None, pad_edge=False)
    for row in _rows([model.card for model in shipped]):
        table.add_row(*row)
    console = make_console(stderr=False)
    console.print(table)
    console.print("* the default for its pictures. `restorekit models info NAME` has the figures.")


@models_app.command("info")
@command
def info(
    name: Name,
    messages: MessageOptions,
    source: SourceOptions,
    as_json: AsJson = False,
    atoms: Annotated[
        Path | None,
        Option(
            "Also draw the dictionary: the atoms that find the codes, and the atoms that add up to the estimate.", "IMG"
        ),
    ] = None,
    overwrite: Annotated[bool, Option("Replace IMG if it exists.")] = False,
) -> None:
    """Show the card of a model, with its figures."""
    from rich.table import Table

    if overwrite and atoms is None:
        raise UsageError("--overwrite is for the picture of --atoms")
    file = source.locate(name)
    card = zoo.read_card(file.path)
    if atoms is not None:
        _draw_atoms(file.path, atoms, overwrite=overwrite)
        _say(messages, f"{imaging.show_path(atoms)}: the atoms of {card.name}")
    if as_json:
        print_json(_document(card, file.path))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in _card_rows(card, file):
        table.add_row(*row)
    make_console(stderr=False).print(table)


@models_app.command("path")
@command
def path(name: Name, _messages: MessageOptions, source: SourceOptions) -> None:
    """Print the path of a model's file; fetch it first if it is on the hub."""
    print(source.locate(name).path)


@models_app.command("fetch")
@command
def fetch(name: Name, messages: MessageOptions, source: VersionOptions) -> None:
    """Fetch a model from the hub into its cache (see HF_HOME) and check it, to use it offline later."""
    _check(name, messages, source)


@models_app.command("check")
@command
def check(name: Name, messages: MessageOptions, source: SourceOptions) -> None:
    """Check that a model's file is whole and agrees with its card: checksum, tensors, shapes, values."""
    _check(name, messages, source)


@models_app.command("record")
@command
def record(
    weights: Annotated[Path, Option("The weights file of a model.", "FILE", argument=True)],
    evaluation: Annotated[
        Path, Option("The file that `restorekit eval --model FILE --json JSON` wrote.", "JSON", ("--from",))
    ],
    messages: MessageOptions,
) -> None:
    """Write the figures of an evaluation onto the card of the model it measured."""
    from restorekit.evaluate import record_measurements

    card = record_measurements(weights, evaluation)
    _say(messages, f"{imaging.show_path(weights)}: {len(card.measured)} measurements on the card of {card.name}")


def _rows(cards: Sequence[zoo.ModelCard]) -> list[tuple[str, str, str]]:
    """Return task, name and pictures of the models, task by task; a denoiser that a task uses by default is in both."""
    rows = []
    for name in dict.fromkeys([*TASKS, *(card.task for card in cards)]):
        defaults = get_task(name).models if name in TASKS else DefaultModels({})
        for card in sorted(cards, key=lambda card: card.name):
            mark = " *" if card.name in defaults.names() else ""
            if card.task == name:
                rows.append((name, card.name + mark, ", ".join(filter(None, (_images(card), _range_text(card))))))
            elif mark:
                kinds = [CHANNELS[channels] for channels, default in defaults.general.items() if default == card.name]
                rows.append((name, card.name + mark, f"{' and '.join(kinds)}, with a denoiser as the prior"))
    return rows


def _say(messages: MessageOptions, text: str) -> None:
    if not messages.quiet:
        make_console(stderr=True).print(text, soft_wrap=True)


def _draw_atoms(model: Path, path: Path, *, overwrite: bool) -> None:
    from restorekit.explain import dictionary_of, draw_dictionary

    try:
        imaging.file_format_of(path)
    except UnsupportedImageError as error:
        raise UsageError(f"--atoms {imaging.show_path(path)}: {error}") from None
    imaging.check_output(path, overwrite=overwrite)
    atoms = draw_dictionary(dictionary_of(zoo.load_model(model)))
    imaging.write_picture(path, imaging.Picture(atoms, imaging.Metadata("png")), overwrite=overwrite)


def _check(name: str, messages: MessageOptions, source: VersionOptions) -> None:
    file = source.locate(name)
    model = zoo.load_model(file.path)
    commit = f", commit {file.commit}" if file.commit else ""
    _say(messages, f"{model.card.name}: good ({imaging.show_path(file.path)}{commit})")


def _card_rows(card: zoo.ModelCard, file: zoo.ModelFile) -> list[tuple[str, str]]:
    rows = [
        ("name", card.name),
        ("description", card.description),
        ("task", card.task),
        ("default of", ", ".join(_defaults(file.path))),
        ("images", _images(card)),
        ("range", _range_text(card)),
        ("architecture", card.architecture),
        ("settings", ", ".join(f"{key} {_setting_text(value)}" for key, value in card.settings.items())),
        ("parameters", f"{card.parameters:,}"),
        ("recipe", f"{card.recipe} (sha256 {card.recipe_sha256[:12]})"),
        ("training data", card.training_data),
        ("steps", f"{card.steps:,}"),
        ("written by", f"restorekit {card.package_version}"),
        ("licence", card.licence),
        ("file", imaging.show_path(file.path)),
        ("commit", file.commit or ""),
    ]
    measured = [("measured" if index == 0 else "", text) for index, text in enumerate(_figures(card))]
    return [row for row in rows if row[1]] + measured


def _setting_text(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_setting_text(inner)}" for key, inner in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_setting_text(one) for one in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(card: zoo.ModelCard) -> list[str]:
    """Return one line for each data set and quality: the PSNR, and SSIM, at each conditioning."""
    units, lines = _units(card), dict[str, list[str]]()
    for found in card.measured:
        at = "" if units is None else f"{units.label} {found.conditioning:g} "
        ssim = "" if found.ssim is None else f", SSIM {found.ssim:.4f}"
        lines.setdefault(f"{found.dataset}, {found.quality}", []).append(f"{at}{found.psnr:.2f} dB{ssim}")
    return [f"{heading}: {'; '.join(texts)}" for heading, texts in lines.items()]


def _units(card: zoo.ModelCard) -> Units | None:
    return get_task(card.task).units if card.task in TASKS else None


def _range_text(card: zoo.ModelCard) -> str:
    """Return the range with its units, such as `sigma 0 to 75 (of 255)`; empty for a task without any."""
    units = _units(card)
    return "" if units is None else f"{units.label} {card.range_text}{units.unit}"


def _images(card: zoo.ModelCard) -> str:
    return get_task(card.task).images_of(card) if card.task in TASKS else CHANNELS[card.channels]


def _defaults(path: Path) -> tuple[str, ...]:
    """Return the tasks that use the model in a file by default; none for a file that is not installed."""
    shipped = selection.shipped_files().get(path.stem)
    return default_of(path.stem) if shipped is not None and path.resolve() == shipped.resolve() else ()


def _document(card: zoo.ModelCard, path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(card.to_json())
    del document["format"]
    return {**document, "default_of": _defaults(path), "path": str(path)}
