"""The user's corpora beside the handbook: searched at once, followed as they change, and quoted by the tool."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.protocol.errors import ConflictError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.retrieval import RetrievalTool
from mmedagent.tool_workers.retrieval.embedding import BackgroundEmbedder
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.library import Corpora, Library
from support.corpora import QUESTION, ZEBRA, add, titles
from support.desk import desk

MODELS = Path(__file__).parents[2] / "models" / "retrieval"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_words_are_found_before_anything_is_embedded(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    add(corpora.open("horses", create=True), folder)
    [first, *_] = PassageSearch(Library(None, corpora), encoder).search("Does stripomycin help in zebra fever?")
    assert (first.title, first.section) == ("Zebra fever", "Treatment")
    assert 0 < first.cosine <= 1
    assert titles(PassageSearch(Library(None, corpora), encoder), "Who won the football match?") == []


def test_a_thread_finishes_the_embeddings(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    for name in ("horses", "donkeys"):
        add(corpora.open(name, create=True), folder)
    embedder = BackgroundEmbedder(corpora, encoder)
    library = Library(None, corpora, on_pending=embedder.wake)
    library.shelves()
    embedder.join()
    assert [corpora.open(name).counts().pending for name in corpora.names()] == [0, 0]


def test_a_library_follows_its_folder(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    search = PassageSearch(Library(None, corpora), encoder)
    assert search.search(QUESTION) == []
    add(corpora.open("horses", create=True), folder)
    assert titles(search)[0] == "Zebra fever"
    add(corpora.open("donkeys", create=True), folder / "trials.jsonl")
    assert {hit.corpus for hit in search.search("trial of stripomycin")} == {"horses", "donkeys"}
    corpora.remove("horses")
    assert {hit.corpus for hit in search.search("trial of stripomycin")} == {"donkeys"}
    corpora.remove("donkeys")
    assert search.search(QUESTION) == []
    assert list((folder.parent / "data" / "corpora").iterdir()) == []


def test_one_corpus_alone_can_be_searched(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    for name in ("horses", "donkeys"):
        add(corpora.open(name, create=True), folder)
    hits = PassageSearch(Library(None, corpora, name="donkeys"), encoder).search(QUESTION)
    assert {hit.corpus for hit in hits} == {"donkeys"}


def test_a_damaged_corpus_is_left_out_and_can_be_removed(
    corpora: Corpora, folder: Path, encoder: SentenceEncoder
) -> None:
    add(corpora.open("horses", create=True), folder)
    corpora.path("broken").write_bytes(b"no database" * 1_000)
    with pytest.raises(ConflictError, match="broken cannot be read"):
        corpora.open("broken")
    assert titles(PassageSearch(Library(None, corpora), encoder))[0] == "Zebra fever"
    corpora.remove("broken")
    assert corpora.names() == ["horses"]


def test_reading_and_writing_at_once(corpora: Corpora, folder: Path, encoder: SentenceEncoder) -> None:
    add(corpora.open("horses", create=True), folder)
    search = PassageSearch(Library(None, corpora), encoder)

    def rewrite(number: int) -> None:
        (folder / "zebra.md").write_text(ZEBRA + f"\n## Note {number}\n\nSeen by {number} people.\n")
        add(corpora.open("horses"), folder)

    with ThreadPoolExecutor(3) as threads:
        found = [threads.submit(titles, search) for _ in range(20)]
        list(map(rewrite, range(3)))
        assert all(set(one.result()) <= {"Zebra fever", "A trial of stripomycin"} for one in found)


def test_the_tool_quotes_handbook_and_corpora(corpora: Corpora, folder: Path, tmp_path: Path) -> None:
    add(corpora.open("horses", create=True), folder)
    tool = RetrievalTool(checkpoint=MODELS, corpora=tmp_path / "data" / "corpora")
    tool.load("cpu")
    for query, corpus, paged in (
        (QUESTION, "horses", False),
        ("How is a mane brushed?", "horses", True),
        ("How is asthma treated?", "handbook", False),
    ):
        call = ToolCall(
            call_id="c", tool="retrieval", parameters={"query": query, "top_k": 1}, deadline_s=30, correlation_id="t"
        )
        [answer] = tool.run([call], desk())
        assert isinstance(answer, ToolOutput)
        CardValidator(tool.card).check_result(answer.data)
        [passage] = json.loads(json.dumps(answer.data))["passages"]
        assert passage["corpus"] == corpus
        assert ("page" in passage) == paged


def test_the_data_folder_of_the_environment_is_searched(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: SentenceEncoder
) -> None:
    monkeypatch.setenv("MMEDAGENT_DATA_DIR", str(tmp_path / "data"))
    add(Corpora(tmp_path / "data" / "corpora").open("horses", create=True), folder)
    tool = RetrievalTool(checkpoint=MODELS)
    tool.load("cpu")
    call = ToolCall(call_id="c", tool="retrieval", parameters={"query": QUESTION}, deadline_s=30, correlation_id="t")
    [answer] = tool.run([call], desk())
    assert isinstance(answer, ToolOutput)
    assert "horses: zebra.md" in json.dumps(answer.data)
