"""How good the search in the handbook is, on questions that were written before it was measured."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
from mmedagent.tool_workers.retrieval.collection import Collection, Pending
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.handbook_pages import SECTIONS, read_handbook
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index
from mmedagent.tool_workers.retrieval.library import Library

FOLDER = Path(__file__).parent
INDEX = FOLDER.parents[1] / "models" / "retrieval" / INDEX_FILE
QUESTIONS: dict[str, Any] = tomllib.loads((FOLDER / "retrieval_questions.toml").read_text("utf-8"))
HELD_OUT: list[list[str]] = tomllib.loads((FOLDER / "retrieval_held_out.toml").read_text("utf-8"))["on_topic"]


@dataclass(frozen=True)
class Figures:
    """Shares (0 to 1) of questions for which the first passage, or one of three, is about the right condition; and is
    the right section of it too."""

    condition: float
    condition_in_three: float
    section: float
    section_in_three: float


def measure(search: PassageSearch, rows: list[list[str]]) -> Figures:
    found = [[(hit.title, hit.section) for hit in search.search(question)] for question, *_ in rows]
    wanted = [(condition, section) for _, condition, section in rows]
    pairs = list(zip(found, wanted, strict=True))
    return Figures(
        condition=float(np.mean([bool(hits) and hits[0][0] == want[0] for hits, want in pairs])),
        condition_in_three=float(np.mean([want[0] in dict(hits) for hits, want in pairs])),
        section=float(np.mean([bool(hits) and hits[0] == want for hits, want in pairs])),
        section_in_three=float(np.mean([want in hits for hits, want in pairs])),
    )


def answered(search: PassageSearch, questions: list[str]) -> float:
    return sum(bool(search.search(question)) for question in questions) / len(questions)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_questions_name_what_is_there(handbook: Collection) -> None:
    titles = {title for (title,) in handbook.rows("SELECT title FROM documents")}
    parts = [HELD_OUT, *(QUESTIONS[part]["on_topic"] for part in ("development", "check"))]
    rows = [row for part in parts for row in part]
    assert {condition for _, condition, _ in rows} == titles
    assert {section for *_, section in rows} == set(SECTIONS)
    assert len({question for question, *_ in rows}) == len(rows)


def test_recall_on_held_out_questions(search: PassageSearch) -> None:
    assert len(HELD_OUT) >= 200
    figures = measure(search, HELD_OUT)
    assert figures.condition_in_three >= 0.95, figures
    assert figures.section_in_three >= 0.92, figures


def test_quality_on_the_other_questions(search: PassageSearch) -> None:
    development = measure(search, QUESTIONS["development"]["on_topic"])
    assert development.condition_in_three >= 0.93, development
    check = measure(search, QUESTIONS["check"]["on_topic"])
    assert check.condition_in_three >= 0.95, check
    assert min(check.section_in_three, check.condition) >= 0.9, check


@pytest.mark.parametrize("part", ["development", "check"])
def test_what_is_not_there_is_not_answered(search: PassageSearch, part: str) -> None:
    assert answered(search, QUESTIONS[part]["off_topic"]) <= 0.1
    # Most diseases without a page are mentioned in the page of another, which is then quoted.
    assert answered(search, QUESTIONS[part]["absent"]) <= 0.65


def test_quality_needs_the_embeddings(encoder: SentenceEncoder) -> None:
    shuffled = read_handbook()
    load_index(shuffled, MINILM_SHA256, INDEX)
    rows = shuffled.rows("SELECT id, text, vector FROM texts ORDER BY kind, id")
    vectors = np.array([np.frombuffer(vector, dtype=np.float16) for *_, vector in rows], dtype=np.float32)
    texts = [Pending(row, text) for row, text, _ in rows]
    shuffled.set_vectors(texts, np.random.default_rng(0).permutation(vectors))
    figures = measure(PassageSearch(Library(shuffled), encoder), HELD_OUT)
    assert figures.condition_in_three < 0.8, figures
    assert figures.section_in_three < 0.5, figures
