"""What several tests of retrieval start from: encoder, handbook, search, a place for corpora, and a folder of texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedagent.networks.minilm import MINILM_SHA256, SentenceEncoder
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.engine import PassageSearch
from mmedagent.tool_workers.retrieval.handbook_pages import read_handbook
from mmedagent.tool_workers.retrieval.index import INDEX_FILE, load_index
from mmedagent.tool_workers.retrieval.library import Corpora, Library
from support.corpora import write_texts

INDEX = Path(__file__).parents[2] / "models" / "retrieval" / INDEX_FILE


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="module")
def handbook() -> Collection:
    """The handbook with its shipped embeddings."""
    collection = read_handbook()
    load_index(collection, MINILM_SHA256, INDEX)
    return collection


@pytest.fixture(scope="module")
def search(handbook: Collection, encoder: SentenceEncoder) -> PassageSearch:
    return PassageSearch(Library(handbook), encoder)


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(tmp_path / "data" / "corpora")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_texts(tmp_path / "texts")
    return tmp_path / "texts"
