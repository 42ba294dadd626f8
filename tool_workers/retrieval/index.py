"""Sentence embeddings of a corpus, computed once and kept in a file that names the corpus they belong to."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mmedagent.networks.minilm import MINILM_SHA256, MINILM_WIDTH
from mmedagent.protocol.errors import CheckpointError
from mmedagent.tool_workers.retrieval.corpus import Corpus

INDEX_FILE = "index.safetensors"
Vectors = NDArray[np.float32]

QUESTIONS = {
    "Overview": "What is {0}? What causes it?",
    "Symptoms": "What are the symptoms and signs of {0}?",
    "Imaging findings": "What does {0} look like on X-ray, CT, MRI or ultrasound?",
    "Diagnosis": "How is {0} diagnosed? Which tests are done?",
    "Treatment": "How is {0} treated?",
    "When it is urgent": "When is {0} an emergency?",
}
"""The plain question that each section answers. People ask in such words more often than in those of a textbook."""


class Encoder(Protocol):
    """Texts to unit vectors of shape (n, 384)."""

    def encode(self, texts: list[str]) -> Vectors: ...


@dataclass(frozen=True)
class CorpusIndex:
    """Vectors of 384 numbers, float32; a dot product with the unit vector of a question is a (mean) cosine.

    `passages` and `questions` have a row a passage: its text, and the plain question that it answers. `sentences` has a
    row a sentence, those of the first passage first: the mean of the sentence alone, for what it says, and after the
    name of its condition, for what it is about. `names` has a row a name of a condition.
    """

    passages: Vectors
    questions: Vectors
    sentences: Vectors
    names: Vectors


def build_index(corpus: Corpus, encoder: Encoder) -> CorpusIndex:
    """Embeds a corpus; a minute or two for the handbook on one core."""
    passages = corpus.passages
    said = [(passage.condition, sentence) for passage in passages for sentence in passage.sentences]
    alone = encoder.encode([sentence for _, sentence in said])
    about = encoder.encode([f"{condition}: {sentence}" for condition, sentence in said])
    return CorpusIndex(
        passages=encoder.encode([f"{one.condition}. {one.section}. {one.text}" for one in passages]),
        questions=encoder.encode([QUESTIONS[one.section].format(one.condition) for one in passages]),
        sentences=(alone + about) * np.float32(0.5),
        names=encoder.encode([name for condition in corpus.conditions for name in condition.names]),
    )


def save_index(index: CorpusIndex, corpus: Corpus, path: Path) -> None:
    """Writes the vectors in half precision, with the sha256 of the corpus and of the encoder's weights."""
    vectors = {name: value.astype(np.float16) for name, value in asdict(index).items()}
    save_file(vectors, path, metadata=_belongs_to(corpus))


def load_index(corpus: Corpus, path: Path) -> CorpusIndex:
    """Reads an index. Raises `CheckpointError` when it is missing, damaged or made from another text or encoder."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            vectors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError) as error:
        raise CheckpointError(f"The retrieval index {path.name} cannot be read.") from error
    if metadata != _belongs_to(corpus):
        raise CheckpointError(f"The retrieval index {path.name} was made from another handbook or encoder.")
    if {name: value.shape for name, value in vectors.items()} != _shapes(corpus):
        raise CheckpointError(f"The retrieval index {path.name} does not fit the handbook.")
    return CorpusIndex(**vectors)


def _shapes(corpus: Corpus) -> dict[str, tuple[int, int]]:
    rows = {
        "passages": len(corpus.passages),
        "questions": len(corpus.passages),
        "sentences": sum(len(passage.sentences) for passage in corpus.passages),
        "names": sum(len(condition.names) for condition in corpus.conditions),
    }
    return {name: (count, MINILM_WIDTH) for name, count in rows.items()}


def _belongs_to(corpus: Corpus) -> dict[str, str]:
    return {"corpus_sha256": corpus.sha256, "encoder_sha256": MINILM_SHA256}
