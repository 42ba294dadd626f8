"""A corpus ready to be searched: its vectors in memory, its words in the file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.schema import NAME, PASSAGE, QUESTION
from mmedagent.tool_workers.retrieval.vectors import WIDTH, Vectors
from mmedagent.tool_workers.retrieval.word_search import WordSearch

NAME_WEIGHT = 0.3
TOGETHER_WEIGHT = 0.7
TOGETHER = 2
"""How many passages of a document are seen together."""

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Ranking:
    """What a question is worth to each passage, shape (passages,).

    `own` is the cosine and the share of words of the passage itself, `evidence` that and the cosine with the mean of
    its corpus, `score` what they are ordered by.
    """

    cosine: Scores
    own: Scores
    evidence: Scores
    score: Scores


@dataclass(frozen=True)
class _Texts:
    """All texts of a kind in order of their numbers; a vector is zeros until it has been computed."""

    numbers: Numbers
    documents: Numbers
    sections: list[str]
    vectors: Vectors

    def places(self) -> Iterator[tuple[int, str]]:
        """Document and section of each."""
        return zip(self.documents.tolist(), self.sections, strict=True)


class Shelf:
    """The passages of a corpus as they were when it was made; it never changes.

    `passages` are their numbers, ascending; `documents` says which belong together, counted from 0. `is_whole` is
    false while some text has no vector yet.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.words = WordSearch(collection)
        with collection.reading():
            names, questions, passages = (_read(collection, kind) for kind in (NAME, QUESTION, PASSAGE))
        self.passages = passages.numbers
        self.is_whole = all(texts.vectors.any(axis=1).all() for texts in (names, questions, passages))
        self._names, self._first_name = names.vectors, _firsts(names.documents)
        self._passages, self._first_passage = passages.vectors, _firsts(passages.documents)
        self.documents: Numbers = np.repeat(
            np.arange(len(self._first_passage)), np.diff(self._first_passage, append=len(self.passages))
        )
        rows = {place: row for row, place in enumerate(questions.places())}
        self._question = np.array([rows[place] for place in passages.places()], dtype=np.int64)
        self._questions = questions.vectors
        field = passages.vectors.sum(axis=0)
        self._field = field / max(float(np.linalg.norm(field)), 1.0)
        self._is_embedded = self._passages.any(axis=1)
        self._has_question = self._questions[self._question].any(axis=1)

    def rank(self, vector: Vectors, words: Scores) -> Ranking:
        """How well each passage answers a question, given by its vector of shape (384,).

        `words` says how much of each word of the question each passage has, shape (words, passages), as parts of a
        passage that has them all.
        """
        share: Scores = words.sum(axis=0)
        # Until a passage is embedded the share of the question's words that it has stands in for the cosine.
        cosine: Scores = np.where(self._is_embedded, self._passages @ vector, share)
        own: Scores = cosine + share
        names = np.maximum.reduceat(self._names @ vector, self._first_name)
        subject: Scores = np.maximum.reduceat(own, self._first_passage) + np.float32(NAME_WEIGHT) * names
        subject += np.float32(TOGETHER_WEIGHT) * self._words_together(words, own)
        asked: Scores = np.where(self._has_question, (self._questions @ vector)[self._question], cosine)
        return Ranking(
            cosine=cosine,
            own=own,
            evidence=own + self._field @ vector,
            score=(cosine + asked + share) * np.float32(0.5) + subject[self.documents],
        )

    def _words_together(self, words: Scores, own: Scores) -> Scores:
        """The share of a question's words that the best passages of each document have between them."""
        order = np.lexsort((-own, self.documents))
        place = np.arange(len(order)) - self._first_passage[self.documents]
        best = order[place < TOGETHER]
        together: Scores = np.maximum.reduceat(words[:, best], _firsts(self.documents[best]), axis=1).sum(axis=0)
        return together

    def nearest_name(self, vectors: Vectors) -> Scores:
        """The cosine of each vector, shape (n, 384), with the name nearest to it."""
        nearest: Scores = (vectors @ self._names.T).max(axis=1)
        return nearest


def _read(collection: Collection, kind: int) -> _Texts:
    rows = collection.rows("SELECT id, document, section, vector FROM texts WHERE kind = ? ORDER BY id", kind)
    nothing = bytes(2 * WIDTH)
    halves = np.frombuffer(b"".join(vector or nothing for *_, vector in rows), dtype=np.float16)
    return _Texts(
        numbers=np.array([row[0] for row in rows], dtype=np.int64),
        documents=np.array([row[1] for row in rows], dtype=np.int64),
        sections=[row[2] for row in rows],
        vectors=halves.reshape(-1, WIDTH).astype(np.float32),
    )


def _firsts(documents: Numbers) -> Numbers:
    """Where each document begins."""
    return np.flatnonzero(np.diff(documents, prepend=-1))
