"""The handbook search: quality on written questions, exact quotations, and an honest "nothing found"."""

import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.protocol.errors import CancelledError, CheckpointError, UnavailableError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import ToolOutput
from mmedagent.tool_workers.retrieval import RetrievalTool
from mmedagent.tool_workers.retrieval.corpus import HANDBOOK, SECTIONS, Corpus, read_corpus
from mmedagent.tool_workers.retrieval.engine import HandbookSearch
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, CorpusIndex, build_index, load_index, save_index
from mmedagent.tool_workers.retrieval.question import clauses
from support.desk import desk

MODELS = Path(__file__).parents[2] / "models" / "retrieval"
QUESTIONS = tomllib.loads((Path(__file__).parent / "retrieval_questions.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Figures:
    """Shares (0 to 1) of on-topic questions answered right, and how many of the others were answered at all."""

    condition: float
    section: float
    section_in_three: float
    off_topic: int
    absent: int

    @property
    def good(self) -> bool:
        found = self.condition >= 0.9 and self.section >= 0.7 and self.section_in_three >= 0.85
        return found and self.off_topic == 0 and self.absent <= 1


def measure(search: HandbookSearch, questions: dict[str, Any]) -> Figures:
    rows = questions["on_topic"]
    found = [[(hit.passage.condition, hit.passage.section) for hit in search.search(row[0])] for row in rows]
    wanted = [(condition, section) for _, condition, section in rows]
    pairs = list(zip(found, wanted, strict=True))
    return Figures(
        condition=float(np.mean([bool(hits) and hits[0][0] == want[0] for hits, want in pairs])),
        section=float(np.mean([bool(hits) and hits[0] == want for hits, want in pairs])),
        section_in_three=float(np.mean([want in hits for hits, want in pairs])),
        off_topic=sum(bool(search.search(question)) for question in questions["off_topic"]),
        absent=sum(bool(search.search(question)) for question in questions["absent"]),
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return read_corpus()


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="module")
def index(corpus: Corpus) -> CorpusIndex:
    return load_index(corpus, MODELS / INDEX_FILE)


@pytest.fixture(scope="module")
def search(corpus: Corpus, index: CorpusIndex, encoder: SentenceEncoder) -> HandbookSearch:
    return HandbookSearch(corpus, index, encoder)


@pytest.fixture(scope="module")
def tool() -> RetrievalTool:
    loaded = RetrievalTool(checkpoint=MODELS)
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


def places(passages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["condition"], one["section"]) for one in passages]


def test_the_handbook_is_complete_and_labelled(corpus: Corpus) -> None:
    assert len(corpus.conditions) >= 36
    for condition in corpus.conditions:
        assert tuple(passage.section for passage in condition.passages) == SECTIONS, condition.title
        assert all(60 <= len(passage.text.split()) <= 150 for passage in condition.passages), condition.title
    for path in HANDBOOK.glob("*.md"):
        assert "General information for research and demonstration. Not medical advice." in path.read_text("utf-8")


@pytest.mark.parametrize("part", ["development", "check"])
def test_quality_on_written_questions(search: HandbookSearch, part: str) -> None:
    figures = measure(search, QUESTIONS[part])
    assert figures.good, figures


def test_quality_needs_the_embeddings(corpus: Corpus, index: CorpusIndex, encoder: SentenceEncoder) -> None:
    order = np.random.default_rng(0)
    shuffled = replace(
        index,
        passages=order.permutation(index.passages),
        questions=order.permutation(index.questions),
        sentences=order.permutation(index.sentences),
        names=order.permutation(index.names),
    )
    figures = measure(HandbookSearch(corpus, shuffled, encoder), QUESTIONS["check"])
    assert not figures.good
    assert figures.section < 0.5


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
    assert places(passages)[:2] == [("Pneumonia", "Overview"), ("Pneumonia", "Treatment")]
    assert len(passages) == 3


def test_two_subjects_in_one_question(tool: RetrievalTool) -> None:
    passages = ask(tool, "What is asthma and when is a pneumothorax an emergency?", top_k=2)
    assert places(passages) == [("Asthma", "Overview"), ("Pneumothorax", "When it is urgent")]


@pytest.mark.parametrize("query", ["intracerebral hemorrhage", "Intracerebral Haemorrage", "intracerebral haemorrhage"])
def test_spelling_does_not_matter(tool: RetrievalTool, query: str) -> None:
    assert ask(tool, query)[0]["condition"] == "Intracerebral haemorrhage"


@pytest.mark.parametrize(
    "query", ["How do I bake bread?", "best football team", "?!", "'\"); DROP TABLE passages", "a"]
)
def test_nothing_found_is_an_empty_list(tool: RetrievalTool, query: str) -> None:
    assert ask(tool, query) == []


def test_the_longest_query_is_answered(tool: RetrievalTool) -> None:
    query = ("What is pneumonia? " * 60)[:1000]
    assert places(ask(tool, query, top_k=1)) == [("Pneumonia", "Overview")]


def test_calls_in_threads_agree(search: HandbookSearch) -> None:
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
        read_corpus(tmp_path)


def test_a_small_handbook_is_embedded_on_loading(tmp_path: Path) -> None:
    own = tmp_path / "handbook"
    own.mkdir()
    for name in ("asthma", "glaucoma"):
        shutil.copy(HANDBOOK / f"{name}.md", own)
    tool = RetrievalTool(checkpoint=None, handbook=own)
    tool.load("cpu")
    assert places(ask(tool, "How is glaucoma treated?"))[0] == ("Glaucoma", "Treatment")
    assert ask(tool, "How are kidney stones treated?") == []


def test_a_long_section_becomes_several_passages(tmp_path: Path) -> None:
    content = (HANDBOOK / "asthma.md").read_text("utf-8")
    sentence = "Asthma is a chronic inflammation of the airways that makes them narrow easily and variably.\n"
    (tmp_path / "asthma.md").write_text(content.replace(sentence, sentence * 10), "utf-8")
    overview = [one for one in read_corpus(tmp_path).passages if one.section == "Overview"]
    assert len(overview) == 2
    assert all(len(one.text.split()) <= 120 for one in overview)


def test_a_saved_index_comes_back(tmp_path: Path, encoder: SentenceEncoder) -> None:
    own = tmp_path / "handbook"
    own.mkdir()
    shutil.copy(HANDBOOK / "asthma.md", own)
    corpus = read_corpus(own)
    built = build_index(corpus, encoder)
    save_index(built, corpus, tmp_path / INDEX_FILE)
    loaded = load_index(corpus, tmp_path / INDEX_FILE)
    assert np.abs(loaded.sentences - built.sentences).max() < 1e-3
    assert np.abs(loaded.questions - built.questions).max() < 1e-3


def test_the_shipped_index_is_that_of_the_handbook(
    corpus: Corpus, index: CorpusIndex, encoder: SentenceEncoder
) -> None:
    names = encoder.encode([name for condition in corpus.conditions[:5] for name in condition.names])
    assert np.abs(names - index.names[: len(names)]).max() < 1e-3


def test_a_question_is_cut_where_another_begins() -> None:
    assert clauses("What is COPD, and how is it treated? When is it urgent?") == [
        "What is COPD",
        "how is it treated",
        "When is it urgent?",
    ]
    assert clauses("crackles and fever") == ["crackles and fever"]
