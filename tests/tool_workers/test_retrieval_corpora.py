"""The user's files into a corpus: added, updated, pruned, and embedded in steps."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError
from mmedagent.tool_workers.retrieval.embedding import embed_pending
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.indexing import Report, find_files
from mmedagent.tool_workers.retrieval.library import Corpora, Library
from mmedagent.tool_workers.retrieval.vectors import Vectors
from support.corpora import QUESTION, ZEBRA, add


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class CountingEncoder:
    """An encoder that counts its texts, and stops like Ctrl+C after `limit` of them."""

    def __init__(self, encoder: SentenceEncoder, limit: int = 10**6) -> None:
        self.seen = 0
        self._encoder = encoder
        self._limit = limit

    def encode(self, texts: list[str]) -> Vectors:
        if self.seen + len(texts) > self._limit:
            raise KeyboardInterrupt
        self.seen += len(texts)
        return self._encoder.encode(texts)


def outcome(report: Report) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.unchanged, report.removed


def test_a_folder_becomes_a_corpus(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    collection = corpora.open("horses", create=True)
    report = add(collection, folder)
    assert outcome(report) == (4, 0, 0, 0)
    assert not report.skipped
    assert (collection.counts().documents, collection.counts().passages) == (4, 6)
    embed_pending(collection, encoder)
    assert collection.counts().pending == 0
    [first, *_] = PassageSearch(Library(None, corpora), encoder).search(QUESTION)
    assert (first.corpus, first.title, first.section) == ("horses", "Zebra fever", "Treatment")
    assert (first.text, first.source, first.page) == ("Rest and stripomycin help.", "horses: zebra.md", None)
    [page, *_] = PassageSearch(Library(None, corpora), encoder).search("How often is a mane brushed?", top_k=1)
    assert (page.title, page.source, page.page) == ("Mane loss", "horses: guide.pdf, page 2", 2)
    [abstract, *_] = PassageSearch(Library(None, corpora), encoder).search("trial of stripomycin", top_k=1)
    assert abstract.source == "horses: PMID 1"


def test_adding_again_costs_nothing_and_changes_nothing(
    corpora: Corpora, folder: Path, encoder: SentenceEncoder
) -> None:
    collection = corpora.open("horses", create=True)
    add(collection, folder)
    embed_pending(collection, encoder)
    before = collection.rows("SELECT id, text, vector FROM texts ORDER BY id")
    assert outcome(add(collection, folder)) == (0, 0, 4, 0)
    assert outcome(add(collection, folder / "zebra.md")) == (0, 0, 1, 0)
    assert collection.rows("SELECT id, text, vector FROM texts ORDER BY id") == before


def test_a_changed_file_is_replaced_and_what_stays_keeps_its_vectors(
    corpora: Corpora, folder: Path, encoder: SentenceEncoder
) -> None:
    collection = corpora.open("horses", create=True)
    add(collection, folder)
    embed_pending(collection, encoder)
    (folder / "zebra.md").write_text(ZEBRA.replace("Rest and stripomycin help.", "Only time helps."))
    assert outcome(add(collection, folder)) == (0, 1, 3, 0)
    counting = CountingEncoder(encoder)
    embed_pending(collection, counting)
    assert counting.seen == 1
    [first, *_] = PassageSearch(Library(None, corpora), encoder).search(QUESTION)
    assert first.text == "Only time helps."
    assert not collection.rows("SELECT 1 FROM words WHERE words MATCH 'rest'")


def test_deleted_files_go_only_when_told(corpora: Corpora, folder: Path) -> None:
    collection = corpora.open("horses", create=True)
    add(collection, folder)
    (folder / "zebra.md").unlink()
    (folder / "more" / "stripes.html").unlink()
    assert outcome(add(collection, folder)) == (0, 0, 2, 0)
    assert collection.counts().files == 4
    assert outcome(add(collection, folder, prune=True)) == (0, 0, 2, 2)
    assert collection.counts().files == 2
    assert not collection.rows("SELECT 1 FROM words WHERE words MATCH 'zebra AND striped'")


def test_pruning_leaves_other_folders_alone(corpora: Corpora, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "zebra.md").write_text("# Other\nText.")
    collection = corpora.open("horses", create=True)
    add(collection, other)
    add(collection, folder)
    assert collection.counts().files == 5
    (other / "zebra.md").unlink()
    assert outcome(add(collection, folder, prune=True)) == (0, 0, 4, 0)


def test_a_broken_file_is_reported_and_costs_nothing_else(corpora: Corpora, folder: Path) -> None:
    collection = corpora.open("horses", create=True)
    add(collection, folder)
    (folder / "guide.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "new.md").write_bytes(b"\xff\xfe")
    (folder / "empty.html").write_text("<p></p>")
    report = add(collection, folder)
    assert outcome(report) == (0, 0, 3, 0)
    assert {name: reason[-1] for name, reason in report.skipped.items()} == dict.fromkeys(
        ["empty.html", "guide.pdf", "new.md"], "."
    )
    assert collection.rows("SELECT 1 FROM words WHERE words MATCH 'mane'")


def test_bad_rows_are_reported_and_the_others_are_there(corpora: Corpora, folder: Path) -> None:
    with (folder / "trials.jsonl").open("a") as file:
        file.write("\nnonsense\n")
    collection = corpora.open("horses", create=True)
    report = add(collection, folder / "trials.jsonl")
    assert report.added == 1
    assert [note.startswith("trials.jsonl: line 2: ") for note in report.notes] == [True]


def test_links_out_of_the_folder_are_not_followed(corpora: Corpora, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.md").write_text("# Private\nSecret.")
    (folder / "link.md").symlink_to(tmp_path / "private.md")
    (folder / "inside.md").symlink_to(folder / "zebra.md")
    assert {path.name for path in find_files(folder)} == {
        "guide.pdf",
        "inside.md",
        "stripes.html",
        "trials.jsonl",
        "zebra.md",
    }


def test_what_cannot_be_added_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no file or folder"):
        find_files(tmp_path / "nowhere")
    with pytest.raises(InvalidRequestError, match=r"notes\.docx is none of"):
        find_files(folder / "notes.docx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="nothing to read"):
        find_files(tmp_path / "empty")


def test_embedding_goes_on_where_it_stopped(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    collection = corpora.open("horses", create=True)
    add(collection, folder)
    total = collection.counts().texts
    advanced: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        embed_pending(collection, CountingEncoder(encoder, limit=8), batch=4, advance=advanced.append)
    assert (sum(advanced), collection.counts().pending) == (8, total - 8)
    rest = CountingEncoder(encoder)
    embed_pending(corpora.open("horses"), rest, newest_first=True)
    assert (rest.seen, collection.counts().pending) == (total - 8, 0)
    assert not np.isnan(encoder.encode(["x"])).any()


@pytest.mark.parametrize("name", ["handbook", "Horses", "../x", "", "a" * 65, "a.b"])
def test_bad_names_are_refused(corpora: Corpora, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be called"):
        corpora.open(name, create=True)


def test_unknown_names_list_the_known_ones(corpora: Corpora) -> None:
    corpora.open("horses", create=True)
    with pytest.raises(NotFoundError, match="There is no corpus zebras; there is: horses"):
        corpora.open("zebras")


def test_a_corpus_of_another_version_is_refused(corpora: Corpora) -> None:
    corpora.open("horses", create=True).close()
    with sqlite3.connect(corpora.path("horses")) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConflictError, match="another version"):
        corpora.open("horses")
