"""`mmedagent models`: the checkpoints of a profile, and whether they are whole, pinned and of the right shape."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmedagent.cli.model_checks import FileCheck, Model, ModelCheck, bytes_to_hash, check, look, models_of
from mmedagent.cli.options import ProfileName
from mmedagent.cli.profile import load_profile
from mmedagent.cli.progress import byte_progress

CARD = "README.md"
HASH_DIGITS = 12
PLAIN_WIDTH = 200

app = typer.Typer(help="The checkpoints of a profile.", no_args_is_help=True)

ModelsFolder = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="Folder with the checkpoint folders, instead of the profile's own."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def models() -> None:
    """Commands about checkpoints."""


@app.command("list")
def list_models(folder: ModelsFolder = None, profile: ProfileName = "embedded", as_json: AsJson = False) -> None:
    """List what a profile uses: class, folder, size, sha256, label and model card."""
    chosen = load_profile(profile, folder)
    found = [look(model) for model in models_of(chosen)]
    if as_json:
        _print_json(profile, chosen.folder, found, label=chosen.label)
        return
    table = Table("model", "class", "folder", "file", "size", "sha256", "card")
    table.caption = f"label: {chosen.label}" if chosen.label else None
    for one in found:
        where = _relative(one.folder, chosen.folder)
        card = f"{where}/{CARD}" if one.folder and (Path(one.folder) / CARD).is_file() else "-"
        for number, file in enumerate(one.files or (None,)):
            first = (one.model, one.backend.split(":")[-1], where) if number == 0 else ("", "", "")
            table.add_row(*first, *_file_cells(file), card if number == 0 else "")
    _print(table)


@app.command()
def verify(folder: ModelsFolder = None, profile: ProfileName = "embedded", as_json: AsJson = False) -> None:
    """Check that every checkpoint of a profile is there, is the pinned file and fits its network, tensor by tensor.

    Names and shapes are compared without loading the weights. Exit code 1 when something is wrong.
    """
    chosen = load_profile(profile, folder)
    found = _checked(list(models_of(chosen)))
    if as_json:
        _print_json(profile, chosen.folder, found, ok=not any(one.problem for one in found))
    else:
        _print(_verdicts(found))
        for one in found:
            if one.problem is not None:
                _print(Text.assemble((f"{one.model}: ", "bold red"), one.problem))
    if any(one.problem is not None for one in found):
        raise typer.Exit(1)


def _checked(models: list[Model]) -> list[ModelCheck]:
    with byte_progress(Console(stderr=True)) as progress:
        found = []
        for model in models:
            task = progress.add_task(f"Checking {model.name}", total=bytes_to_hash(model))
            found.append(check(model, partial(progress.advance, task)))
        return found


def _verdicts(found: list[ModelCheck]) -> Table:
    table = Table("model", "network", "file", "size", "sha256", "tensors", "verdict")
    for one in found:
        verdict = _verdict(one)
        for number, file in enumerate(one.files or (None,)):
            first = (one.model, one.network) if number == 0 else ("", "")
            tensors = f"{one.tensors:,}" if one.tensors is not None and number == 0 else "-" if number == 0 else ""
            table.add_row(*first, *_file_cells(file), tensors, verdict if number == 0 else "")
    return table


def _verdict(one: ModelCheck) -> Text:
    if one.problem is not None:
        return Text("wrong", "red")
    return Text("ok", "green") if one.tensors is not None else Text("no weights of its own", "dim")


def _file_cells(file: FileCheck | None) -> tuple[str, str, str]:
    if file is None:
        return "-", "-", "-"
    digest = file.sha256[:HASH_DIGITS] if file.sha256 is not None else "not hashed"
    return file.file, _size(file.bytes), digest if file.pinned else f"{digest} (no pin)"


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _relative(folder: str | None, base: Path) -> str:
    if folder is None:
        return "-"
    return str(Path(folder).relative_to(base)) if Path(folder).is_relative_to(base) else folder


def _print_json(profile: str, folder: Path, found: list[ModelCheck], **more: object) -> None:
    document = {"profile": profile, "folder": str(folder), **more, "models": [one.model_dump() for one in found]}
    typer.echo(json.dumps(document, indent=2))


def _print(what: Table | Text) -> None:
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(what, soft_wrap=isinstance(what, Text))
