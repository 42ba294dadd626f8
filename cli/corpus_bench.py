"""`mmedagent bench corpus`: how long a corpus takes to index and to search."""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mmedagent.cli.corpus import embed_all, progress_bar
from mmedagent.cli.paths import MODELS

if TYPE_CHECKING:
    from mmedagent.networks.minilm import SentenceEncoder
    from mmedagent.tool_workers.retrieval.collection import Collection
    from mmedagent.tool_workers.retrieval.library import Library

QUESTIONS = 200


def corpus(
    passages: Annotated[int, typer.Option(min=100, max=200_000, help="Passages of the corpus.")] = 10_000,
) -> None:
    """Index made-up texts and search them: a temporary corpus beside the handbook, in this process."""
    import torch

    from mmedagent.evaluation.synthetic_texts import questions_about, write_documents
    from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
    from mmedagent.tool_workers.retrieval.handbook_pages import read_handbook
    from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index
    from mmedagent.tool_workers.retrieval.library import Corpora, Library

    handbook = read_handbook()
    load_index(handbook, MINILM_SHA256, MODELS / "retrieval" / INDEX_FILE)
    sentences = _sentences(handbook)
    rows: list[tuple[str, str]] = []
    with TemporaryDirectory(prefix="mmedagent-bench-") as temporary:
        folder = Path(temporary)
        (folder / "texts").mkdir()
        words = write_documents(folder / "texts", sentences, passages)
        corpora = Corpora(folder / "corpora")
        collection = corpora.open("bench", create=True)
        rows += [_index(collection, folder / "texts", words)]
        # As the server does on two cores: with more threads one query waits for all of them.
        torch.set_num_threads(1)
        encoder = SentenceEncoder()
        library = Library(handbook, corpora)
        questions = questions_about(sentences, QUESTIONS)
        rows += [("search by words, nothing embedded", _search(library, encoder, questions))]
        rows += [_embed(collection)]
        rows += [("search", _search(library, encoder, questions))]
        rows += [("corpus on disk", f"{corpora.path('bench').stat().st_size / 1e6:.0f} MB")]
    table = Table("step", "measured", title=f"{passages:,} passages; load {os.getloadavg()[0]:.1f}")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _sentences(handbook: Collection) -> list[str]:
    from mmedagent.tool_workers.retrieval.passages import sentence_spans

    texts = [text for (text,) in handbook.rows("SELECT body FROM words ORDER BY rowid")]
    return [text[start:end] for text in texts for start, end in sentence_spans(text)]


def _index(collection: Collection, folder: Path, words: int) -> tuple[str, str]:
    from mmedagent.tool_workers.retrieval.indexing import add_files, find_files

    started = time.perf_counter()
    files = find_files(folder)
    with progress_bar("Reading") as progress:
        task = progress.add_task("", total=len(files))
        add_files(collection, folder, files, advance=lambda: progress.advance(task))
    seconds = time.perf_counter() - started
    made = collection.counts().passages
    return "read and index by words", f"{seconds:.1f} s ({made:,} passages of {words / made:.0f} words on average)"


def _embed(collection: Collection) -> tuple[str, str]:
    texts = collection.counts().texts
    started, used = time.perf_counter(), time.process_time()
    embed_all(collection)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    return "embed", f"{seconds:.0f} s, {cpu:.0f} s of processor time ({texts:,} texts)"


def _search(library: Library, encoder: SentenceEncoder, questions: list[str]) -> str:
    from mmedagent.tool_workers.retrieval.engine import PassageSearch

    search = PassageSearch(library, encoder)
    search.search(questions[0])
    times = []
    used = time.process_time()
    for question in questions:
        started = time.perf_counter()
        search.search(question)
        times.append(1000 * (time.perf_counter() - started))
    cpu = 1000 * (time.process_time() - used) / len(times)
    times.sort()
    median, high = times[len(times) // 2], times[int(0.95 * len(times))]
    return f"median {median:.0f} ms, p95 {high:.0f} ms, {cpu:.0f} ms of processor time"
