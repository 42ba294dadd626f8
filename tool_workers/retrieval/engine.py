"""Search in the handbook: meaning (sentence embeddings) and words (BM25) together, with an honest "nothing found".

A question is cut into its clauses. For each clause every passage gets a score that adds up

* meaning: the mean of the cosines with the passage, with its best sentence and with the plain question it answers;
* words: BM25, scaled so that a strong match weighs like a clear difference in cosine;
* condition: the best such score of any passage about the same condition, plus the cosine with its nearest name.

The last term lets a whole condition stand behind its passages, so that "how is it treated" is answered about the right
disease. A passage is given only when the evidence of its own text (the first two cosines and BM25) is above a
threshold, so an unrelated question gets none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.tool_workers.retrieval.corpus import Corpus, Passage
from mmedagent.tool_workers.retrieval.index import CorpusIndex, Vectors
from mmedagent.tool_workers.retrieval.lexical import WordSearch
from mmedagent.tool_workers.retrieval.question import Speller, clauses

WORD_WEIGHT = 0.02
NAME_WEIGHT = 0.3
OWN_SUBJECT = 0.55
"""A clause whose cosine with a name of a condition reaches this names its own subject."""

THRESHOLD = 0.36
"""Least evidence (mean cosine plus weighted BM25) of a passage that is given."""

UNKNOWN_SUBJECT_THRESHOLD = 0.65
"""The same, for a question with a specific word that the handbook never mentions."""

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Hit:
    """A passage, the position of its most relevant sentence, and the cosine of the two with the question."""

    passage: Passage
    sentence: int
    cosine: float


@dataclass(frozen=True)
class _Ranking:
    """Scores of one clause, each of shape (passages,)."""

    cosine: Scores
    evidence: Scores
    score: Scores
    sentences: Scores


class HandbookSearch:
    """Searches one corpus. Safe to use from several threads."""

    def __init__(self, corpus: Corpus, index: CorpusIndex, encoder: SentenceEncoder) -> None:
        self._passages = corpus.passages
        self._titles = [condition.title for condition in corpus.conditions]
        self._index = index
        self._encoder = encoder
        self._words = WordSearch(corpus)
        self._speller = Speller(corpus, self._words, encoder.tokenizer)
        sizes = [len(passage.sentences) for passage in self._passages]
        self._first_sentence = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._condition = np.repeat(
            np.arange(len(corpus.conditions)), [len(condition.passages) for condition in corpus.conditions]
        )
        self._first_passage = np.searchsorted(self._condition, np.arange(len(corpus.conditions)))
        self._first_name = np.cumsum([0, *(len(condition.names) for condition in corpus.conditions)])[:-1]

    def search(self, question: str, top_k: int = 3) -> list[Hit]:
        """The most relevant passages, best first, none twice; each clause of the question gets its turn.

        Empty when nothing in the handbook is about the question.
        """
        question = self._speller.corrected(question)
        whole = self._rank([question])[0]
        if whole.evidence.max() < self._needed(question):
            return []
        parts = clauses(question)
        subject = self._titles[self._condition[whole.score.argmax()]]
        rankings = [whole] if len(parts) < 2 else self._rank_clauses(parts, subject)
        best = [self._above_threshold(ranking) for ranking in rankings]
        chosen: dict[int, Hit] = {}
        for place in range(top_k):
            for ranking, order in zip(rankings, best, strict=True):
                if place < len(order) and len(chosen) < top_k:
                    chosen.setdefault(order[place], self._hit(order[place], ranking))
        return list(chosen.values())

    def _needed(self, question: str) -> float:
        return UNKNOWN_SUBJECT_THRESHOLD if self._speller.unknown_subjects(question) else THRESHOLD

    def _rank_clauses(self, parts: list[str], subject: str) -> list[_Ranking]:
        vectors = self._encoder.encode(parts)
        names_subject = (vectors @ self._index.names.T).max(axis=1) >= OWN_SUBJECT
        return self._rank(
            [part if own else f"{subject}: {part}" for part, own in zip(parts, names_subject, strict=True)]
        )

    def _rank(self, questions: list[str]) -> list[_Ranking]:
        vectors = self._encoder.encode(questions)
        return [self._score(question, vector) for question, vector in zip(questions, vectors, strict=True)]

    def _score(self, question: str, vector: Vectors) -> _Ranking:
        sentences = self._index.sentences @ vector
        cosine = (self._index.passages @ vector + np.maximum.reduceat(sentences, self._first_sentence)) / 2
        evidence = cosine + WORD_WEIGHT * self._words.scores(question)
        names = np.maximum.reduceat(self._index.names @ vector, self._first_name)
        condition = np.maximum.reduceat(evidence, self._first_passage) + NAME_WEIGHT * names
        # The mean of two cosines becomes that of three for the order only: the threshold stays with the quoted text.
        answers = (self._index.questions @ vector - cosine) / 3
        return _Ranking(cosine, evidence, evidence + answers + condition[self._condition], sentences)

    def _above_threshold(self, ranking: _Ranking) -> list[int]:
        order = np.argsort(-ranking.score, kind="stable")
        return [int(row) for row in order if ranking.evidence[row] >= THRESHOLD]

    def _hit(self, row: int, ranking: _Ranking) -> Hit:
        passage = self._passages[row]
        first = self._first_sentence[row]
        sentence = int(ranking.sentences[first : first + len(passage.sentences)].argmax())
        return Hit(passage, sentence, float(np.clip(ranking.cosine[row], 0.0, 1.0)))
