"""The handbook search: exact quotations, clauses, spelling, and an index that belongs to its texts."""

import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
from mmedagent.protocol.errors import CancelledError, CheckpointError, UnavailableError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.retrieval import RetrievalTool
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.embedding import embed_pending
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.handbook_pages import HANDBOOK, SECTIONS, read_handbook
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index, save_index
from mmedagent.tool_workers.retrieval.plain import PlainWords
from mmedagent.tool_workers.retrieval.question import clauses
from support.desk import MemoryBlobs, desk

FOLDER = Path(__file__).parent
MODELS = FOLDER.parents[1] / "models" / "retrieval"
QUESTIONS = tomllib.loads((FOLDER / "retrieval_questions.toml").read_text("utf-8"))
MAX_INDEX_BYTES = 12 * 10**6


def vectors_of(collection: Collection) -> list[bytes]:
    return [vector for (vector,) in collection.rows("SELECT vector FROM texts ORDER BY kind, id")]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> RetrievalTool:
    loaded = RetrievalTool(checkpoint=MODELS, corpora=tmp_path_factory.mktemp("corpora"))
    loaded.load("cpu")
    return loaded


def call(query: str, **parameters: int) -> ToolCall:
    return ToolCall(
        call_id="c1",
        tool="retrieval",
        parameters={"query": query, **parameters},
        deadline_s=30,
        correlation_id="t1",
    )


def ask(tool: RetrievalTool, query: str, **parameters: int) -> list[dict[str, Any]]:
    [outcome] = tool.run([call(query, **parameters)], desk())
    assert isinstance(outcome, ToolOutput)
    CardValidator(tool.card).check_result(outcome.data)
    passages: Any = outcome.data["passages"]
    return list(passages)


def test_a_passage_names_the_text_that_it_stands_in(tool: RetrievalTool) -> None:
    blobs = MemoryBlobs()
    [outcome] = tool.run([call("How is a cataract treated, and what are its symptoms?")], desk(blobs=blobs))
    assert isinstance(outcome, ToolOutput)
    passages: Any = outcome.data["passages"]
    assert len(passages) > len({one["condition"] for one in passages})
    for one in passages:
        text = blobs.get(one["document"]).decode()
        assert text.startswith(f"{one['condition']}\n\n{SECTIONS[0]}\n")
        assert f"\n\n{one['section']}\n{one['text']}" in text
        assert [line for line in text.split("\n") if line in SECTIONS] == list(SECTIONS)
    kept = [(artifact.sha256, artifact.label) for artifact in outcome.artifacts]
    assert kept == list(dict.fromkeys((one["document"], one["condition"]) for one in passages))


def places(passages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["condition"], one["section"]) for one in passages]


def test_the_handbook_is_complete_and_labelled(handbook: Collection) -> None:
    assert handbook.counts().documents >= 150
    query = """SELECT title, texts.section, body FROM texts JOIN words ON words.rowid = texts.id
        JOIN documents ON documents.id = document ORDER BY texts.id"""
    sections: dict[str, list[str]] = {}
    for title, section, text in handbook.rows(query):
        sections.setdefault(title, []).append(section)
        assert 40 <= len(text.split()) <= 120, f"{title}, {section}"
    assert all(tuple(found) == SECTIONS for found in sections.values())
    for path in HANDBOOK.glob("*.md"):
        assert "General information for research and demonstration. Not medical advice." in path.read_text("utf-8")


def test_passages_are_quoted_word_for_word(tool: RetrievalTool) -> None:
    handbook = " ".join(" ".join(path.read_text("utf-8") for path in sorted(HANDBOOK.glob("*.md"))).split())
    passages = ask(tool, "How is appendicitis recognised on ultrasound?", top_k=5)
    assert len(passages) == 5
    for one in passages:
        start, end = one["highlight"]
        assert one["text"] in handbook
        assert one["text"][start].isupper()
        assert one["text"][end - 1] == "."
        assert one["source"] == f"mmedagent handbook: {one['condition']}, {one['section']}"
    assert passages[0]["source"] == "mmedagent handbook: Appendicitis, Imaging findings"


def test_both_halves_of_a_question_are_answered(tool: RetrievalTool) -> None:
    passages = ask(tool, "What is pneumonia and how is it treated?")
    assert {*places(passages)[:2]} == {("Pneumonia", "Overview"), ("Pneumonia", "Treatment")}
    assert len(passages) == 3


def test_two_subjects_in_one_question(tool: RetrievalTool) -> None:
    passages = ask(tool, "What is asthma and when is a pneumothorax an emergency?", top_k=2)
    assert places(passages) == [("Asthma", "Overview"), ("Pneumothorax", "When it is urgent")]


@pytest.mark.parametrize("query", ["intracerebral hemorrhage", "Intracerebral Haemorrage", "intracerebral haemorrhage"])
def test_spelling_does_not_matter(tool: RetrievalTool, query: str) -> None:
    assert ask(tool, query)[0]["condition"] == "Intracerebral haemorrhage"


@pytest.mark.parametrize("query", ["How do I bake bread?", "best football team", "?!", "'\"); DELETE FROM users", "a"])
def test_nothing_found_is_an_empty_list(tool: RetrievalTool, query: str) -> None:
    assert ask(tool, query) == []


def test_the_longest_query_is_answered(tool: RetrievalTool) -> None:
    query = ("What is pneumonia? " * 60)[:1000]
    assert places(ask(tool, query, top_k=1)) == [("Pneumonia", "Overview")]


def test_calls_in_threads_agree(search: PassageSearch) -> None:
    questions = [row[0] for row in QUESTIONS["check"]["on_topic"][:8]]
    alone = [search.search(question) for question in questions]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(search.search, questions)) == alone


def test_the_card_names_the_index(tool: RetrievalTool) -> None:
    assert tool.card.checkpoint_sha256 is not None
    assert RetrievalTool(checkpoint=MODELS).card.checkpoint_sha256 is None


def test_a_cancelled_call_stops(tool: RetrievalTool) -> None:
    with pytest.raises(CancelledError):
        tool.run([call("pneumonia")], desk(gone=True))


def test_a_tool_that_is_not_loaded_refuses() -> None:
    with pytest.raises(UnavailableError):
        RetrievalTool(checkpoint=MODELS).run([call("pneumonia")], desk())


def test_an_index_of_another_handbook_is_refused(tmp_path: Path) -> None:
    changed = tmp_path / "handbook"
    shutil.copytree(HANDBOOK, changed)
    page = changed / "pneumonia.md"
    page.write_text(page.read_text("utf-8").replace("infection", "disease", 1), "utf-8")
    with pytest.raises(CheckpointError, match="another handbook"):
        RetrievalTool(checkpoint=MODELS, handbook=changed).load("cpu")


def test_a_missing_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        RetrievalTool(checkpoint=tmp_path).load("cpu")


def test_a_page_without_a_section_is_refused(tmp_path: Path) -> None:
    content = (HANDBOOK / "asthma.md").read_text("utf-8")
    (tmp_path / "asthma.md").write_text(content.replace("## Diagnosis", "## Tests"), "utf-8")
    with pytest.raises(CheckpointError, match=r"asthma\.md: expected the sections"):
        read_handbook(tmp_path)


def test_a_small_handbook_is_embedded_on_loading(tmp_path: Path) -> None:
    own = tmp_path / "handbook"
    own.mkdir()
    for name in ("asthma", "glaucoma"):
        shutil.copy(HANDBOOK / f"{name}.md", own)
    tool = RetrievalTool(checkpoint=None, handbook=own, corpora=tmp_path)
    tool.load("cpu")
    assert places(ask(tool, "How is glaucoma treated?"))[0] == ("Glaucoma", "Treatment")
    assert ask(tool, "How are bicycles repaired?") == []


def test_a_long_section_becomes_several_passages(tmp_path: Path) -> None:
    content = (HANDBOOK / "asthma.md").read_text("utf-8")
    sentence = "Asthma is a chronic inflammation of the airways that makes them narrow easily and variably.\n"
    (tmp_path / "asthma.md").write_text(content.replace(sentence, sentence * 10), "utf-8")
    [page] = read_handbook(tmp_path).rows("SELECT count(*) FROM words WHERE section = 'Overview'")
    assert page == (2,)


def test_a_saved_index_comes_back(tmp_path: Path, encoder: SentenceEncoder) -> None:
    shutil.copy(HANDBOOK / "asthma.md", tmp_path)
    built = read_handbook(tmp_path)
    embed_pending(built, encoder)
    save_index(built, MINILM_SHA256, tmp_path / INDEX_FILE)
    loaded = read_handbook(tmp_path)
    load_index(loaded, MINILM_SHA256, tmp_path / INDEX_FILE)
    assert vectors_of(loaded) == vectors_of(built)


def test_the_shipped_index_is_that_of_the_handbook(handbook: Collection, encoder: SentenceEncoder) -> None:
    assert (MODELS / INDEX_FILE).stat().st_size <= MAX_INDEX_BYTES
    texts = [text for (text,) in handbook.rows("SELECT text FROM texts ORDER BY kind, id")]
    for row in (0, len(texts) // 2, len(texts) - 1):
        shipped = np.frombuffer(vectors_of(handbook)[row], dtype=np.float16)
        assert np.abs(encoder.encode([texts[row]])[0] - shipped).max() < 1e-3


def test_everyday_words_are_explained() -> None:
    plain = PlainWords()
    assert plain.explained("Why are her eyes so yellow?") == "Why are her eyes so yellow? (jaundice)"
    assert plain.explained("What is pneumonia?") == "What is pneumonia?"


def test_a_question_is_cut_where_another_begins() -> None:
    assert clauses("What is COPD, and how is it treated? When is it urgent?") == [
        "What is COPD",
        "how is it treated",
        "When is it urgent?",
    ]
    assert clauses("crackles and fever") == ["crackles and fever"]
