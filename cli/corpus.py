"""`mmedagent corpus`: the user's own manuals, guidelines and abstracts, which the retrieval tool quotes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mmedagent.cli.options import DataDir
from mmedagent.cli.paths import MODELS
from mmedagent.protocol.errors import MMedAgentError, NotFoundError

if TYPE_CHECKING:
    from mmedagent.tool_workers.retrieval.collection import Collection
    from mmedagent.tool_workers.retrieval.indexing import Report
    from mmedagent.tool_workers.retrieval.library import Corpora
    from mmedagent.tool_workers.retrieval.shelves import Hit

INTERRUPTED = 130
MOST_WORKERS = 8

out = Console()
err = Console(stderr=True)

app = typer.Typer(help="Your own texts for the retrieval tool.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the corpus.")]


@app.callback()
def corpus() -> None:
    """Commands about corpora."""


@app.command()
def add(
    source: Annotated[Path, typer.Argument(help="Folder or file: Markdown, HTML, PDF, JSON Lines.")],
    name: Annotated[str, typer.Option(help="Name of the corpus; a new one is made.")],
    prune: Annotated[bool, typer.Option("--prune", help="Also delete what is gone from the folder.")] = False,
    embed: Annotated[bool, typer.Option(help="Embed now, or leave that to the retrieval tool.")] = True,
    data_dir: DataDir = Path("data"),
) -> None:
    """Add a folder or file to a corpus, or bring the corpus up to date with it."""
    from mmedagent.tool_workers.retrieval.indexing import add_files, find_files

    files = find_files(source)
    collection = _corpora(data_dir).open(name, create=True)
    with progress_bar("Reading") as progress:
        task = progress.add_task("", total=len(files))
        report = add_files(collection, source, files, prune=prune, advance=lambda: progress.advance(task))
    _show(report, name, collection)
    if embed:
        try:
            embed_all(collection)
        except KeyboardInterrupt:
            err.print("Interrupted. What is embedded stays; run the command again to go on, or start the server.")
            raise typer.Exit(INTERRUPTED) from None
    if report.skipped:
        raise typer.Exit(1)


@app.command("list")
def list_corpora(data_dir: DataDir = Path("data")) -> None:
    """List the corpora, how much they hold, and how much of it is embedded."""
    corpora = _corpora(data_dir)
    table = Table("corpus", "files", "documents", "passages", "embedded", "MB")
    for name in corpora.names():
        megabytes = f"{corpora.path(name).stat().st_size / 1e6:.1f}"
        try:
            counts = corpora.open(name).counts()
        except MMedAgentError as error:
            err.print(Text(error.detail, style="red"), soft_wrap=True)
            table.add_row(name, "damaged", "", "", "", megabytes)
            continue
        embedded = f"{1 - counts.pending / counts.texts:.0%}" if counts.texts else "-"
        numbers = (f"{number:,}" for number in (counts.files, counts.documents, counts.passages))
        table.add_row(name, *numbers, embedded, megabytes)
    out.print(table if table.rows else "There are no corpora yet: mmedagent corpus add FOLDER --name NAME")


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    name: Annotated[str | None, typer.Option(help="Search this corpus only; `handbook` is the packaged one.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=10, help="How many passages.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    data_dir: DataDir = Path("data"),
) -> None:
    """Show the passages that the retrieval tool would quote."""
    hits = _search(_corpora(data_dir), question, name, top_k)
    if as_json:
        passages = [{name: value for name, value in asdict(hit).items() if name != "document"} for hit in hits]
        typer.echo(json.dumps({"passages": passages}, indent=2, ensure_ascii=False))
        return
    for hit in hits:
        text = Text(hit.text)
        text.stylize("bold", *hit.highlight)
        title = ", ".join(part for part in (hit.title, hit.section) if part)
        out.print(Panel(text, title=Text(title), title_align="left", subtitle=Text(f"{hit.source} ({hit.cosine:.2f})")))
    if not hits:
        out.print("No passage is about this.")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = Path("data"),
) -> None:
    """Delete a corpus. The files that it was made from stay where they are."""
    corpora = _corpora(data_dir)
    if name not in corpora.names():
        raise NotFoundError(f"There is no corpus {name}; there is: {', '.join(corpora.names()) or 'none'}.")
    if not yes:
        typer.confirm(f"Delete the corpus {name}?", abort=True)
    corpora.remove(name)
    out.print(f"The corpus {name} is deleted.")


def _corpora(data_dir: Path) -> Corpora:
    from mmedagent.tool_workers.retrieval.library import Corpora
    from mmedagent.tool_workers.retrieval.tool import corpora_folder

    return Corpora(corpora_folder(data_dir))


def progress_bar(what: str) -> Progress:
    """A bar on standard error with a word before it."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err)


def _show(report: Report, name: str, collection: Collection) -> None:
    out.print(
        f"{name}: {report.added} files added, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.removed} removed; {collection.counts().passages:,} passages in all, searchable by words.",
        highlight=False,
    )
    for note in report.notes:
        err.print(Text(note, style="yellow"), soft_wrap=True)
    for shown, reason in report.skipped.items():
        err.print(Text(f"left out {shown}: {reason}", style="red"), soft_wrap=True)


def embed_all(collection: Collection) -> None:
    """Embed what has no embedding yet, a core for each thread. Ctrl+C leaves the rest for another time."""
    counts = collection.counts()
    if not counts.pending:
        return
    with progress_bar("Embedding") as progress:
        task = progress.add_task("", total=counts.texts, completed=counts.texts - counts.pending)
        import torch

        from mmedagent.networks.minilm import SentenceEncoder
        from mmedagent.tool_workers.retrieval.embedding import embed_pending

        torch.set_num_threads(1)
        workers = min(os.cpu_count() or 1, MOST_WORKERS)
        encoder = SentenceEncoder()
        embed_pending(collection, encoder, workers=workers, advance=lambda number: progress.advance(task, number))


def _search(corpora: Corpora, question: str, name: str | None, top_k: int) -> list[Hit]:
    from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
    from mmedagent.tool_workers.retrieval.engine import PassageSearch
    from mmedagent.tool_workers.retrieval.handbook_pages import read_handbook
    from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index
    from mmedagent.tool_workers.retrieval.library import HANDBOOK_NAME, Library

    handbook = None
    if name in {None, HANDBOOK_NAME}:
        handbook = read_handbook()
        load_index(handbook, MINILM_SHA256, MODELS / "retrieval" / INDEX_FILE)
    else:
        corpora.open(str(name)).close()
    return PassageSearch(Library(handbook, corpora, name=name), SentenceEncoder()).search(question, top_k)
