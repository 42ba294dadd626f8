"""What several tests of retrieval start from: an encoder, an empty place for corpora, and a folder of texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.tool_workers.retrieval.library import Corpora
from support.corpora import write_texts


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture
def corpora(tmp_path: Path) -> Corpora:
    return Corpora(tmp_path / "data" / "corpora")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_texts(tmp_path / "texts")
    return tmp_path / "texts"
