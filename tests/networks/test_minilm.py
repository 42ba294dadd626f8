"""MiniLM: pinned weights, and embeddings equal to those of the library that published it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from mmedagent.networks.minilm import (
    MAX_TOKENS,
    MINILM_WIDTH,
    SentenceEncoder,
    load_minilm,
    load_tokenizer,
    minilm_folder,
)
from mmedagent.protocol.errors import CheckpointError

TEXTS = [
    "What is pneumonia and how is it treated?",
    "A pneumothorax is air in the pleural space.",
    "Ödem der Lunge, naïve façade",
    "x",
    "",
    "air in the pleural space " * 120,
]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    torch.set_num_threads(1)
    return SentenceEncoder()


def test_embeddings_equal_the_published_pipeline(encoder: SentenceEncoder) -> None:
    published = SentenceTransformer(str(minilm_folder()), device="cpu").encode(TEXTS, normalize_embeddings=True)
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), MINILM_WIDTH)
    assert np.abs(vectors - published).max() < 1e-5


def test_embeddings_depend_on_the_pinned_weights(encoder: SentenceEncoder) -> None:
    shuffled = SentenceEncoder()
    table = shuffled.model.get_input_embeddings().weight
    with torch.no_grad():
        table.copy_(table[torch.randperm(len(table), generator=torch.Generator().manual_seed(0))])
    assert np.abs(encoder.encode(TEXTS) - shuffled.encode(TEXTS)).max() > 0.05


def test_a_text_has_the_same_embedding_alone_and_in_a_batch(encoder: SentenceEncoder) -> None:
    together = encoder.encode(TEXTS * 6)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.abs(together[-len(TEXTS) :] - alone).max() < 1e-5
    assert np.linalg.norm(alone, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_no_texts_give_no_rows(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, MINILM_WIDTH)


def test_meaning_is_near_and_other_subjects_are_far(encoder: SentenceEncoder) -> None:
    query, near, far = encoder.encode(["collapsed lung", "pneumothorax after an injury", "a recipe for bread"])
    assert query @ near > 0.4
    assert query @ far < 0.2


def test_the_encoder_is_frozen() -> None:
    model = load_minilm()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_tokens_know_their_place_in_the_text() -> None:
    text = "Segment the left kidney"
    encoding = load_tokenizer().encode(text)
    words = [text[start:end] for start, end in encoding.offsets if end > start]
    assert words == ["Segment", "the", "left", "kidney"]


def test_batches_are_padded_and_cut() -> None:
    short, long = load_tokenizer().encode_batch(["lung", "lung " * 1000])
    assert len(short.ids) == len(long.ids) == MAX_TOKENS
    assert sum(short.attention_mask) == 3
    assert len(load_tokenizer(max_tokens=16).encode("lung " * 100).ids) == 16


def test_other_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        minilm_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(CheckpointError, match="expected 53aa51172d14"):
        load_minilm(tmp_path)
