"""Search in all corpora: meaning (sentence embeddings) and words (BM25) together, with an honest "nothing found".

A question is cut into its clauses. For each clause every passage gets a score that adds up

* the passage: half of its cosine, of the cosine with the plain question that its section answers, and of its words,
  which are BM25 as a share of the best that a text could have;
* the subject: the best sum of cosine and words of any passage of the same document, the words that its best passages
  have together, and the cosine with its nearest name.

The last term lets a whole document stand behind its passages, so that "how is it treated" is answered about the right
disease. A passage is given only when there is evidence enough: its own cosine and words, and the cosine of the question
with the mean of its corpus. So an unrelated question gets none, and one in a patient's own words still gets some.
"""

from dataclasses import dataclass

import numpy as np

from mmedagent.networks.minilm import SentenceEncoder
from mmedagent.tool_workers.retrieval.library import Library
from mmedagent.tool_workers.retrieval.plain import PlainWords
from mmedagent.tool_workers.retrieval.question import Speller, clauses
from mmedagent.tool_workers.retrieval.shelf import Ranking, Scores
from mmedagent.tool_workers.retrieval.shelves import Hit, Shelves

OWN_SUBJECT = 0.55
"""A clause whose cosine with a name of a document reaches this names its own subject."""

THRESHOLD = 0.41
"""Least evidence of a passage that is given."""

MANY_UNKNOWN = 0.3
OWN_THRESHOLD = 0.65
"""Least cosine and words of some passage for a question of whose words so many are rare and in no corpus."""

QUOTED = 0.15
"""What the other passages of a document lose in score with each one that is chosen."""


@dataclass(frozen=True)
class _Asked:
    """A question or a clause of one, and by what the passages are ordered for it."""

    words: str
    ranking: Ranking
    score: Scores


class PassageSearch:
    """Searches a library. Safe to use from several threads."""

    def __init__(self, library: Library, encoder: SentenceEncoder) -> None:
        self._library = library
        self._encoder = encoder
        self._plain = PlainWords()

    def search(self, question: str, top_k: int = 3) -> list[Hit]:
        """The most relevant passages, best first, none twice; each clause of the question gets its turn.

        Empty when nothing in any corpus is about the question.
        """
        found = self._library.shelves()
        if not found:
            return []
        shelves = Shelves(found)
        speller = Speller(shelves.words, self._encoder.tokenizer)
        question = speller.corrected(question)
        [whole] = self._rank(shelves, [question])
        if whole.evidence.max() < THRESHOLD:
            return []
        if whole.own.max() < OWN_THRESHOLD and speller.unknown(question) >= MANY_UNKNOWN:
            return []
        return _choose(shelves, self._asked(shelves, question, whole), top_k)

    def _asked(self, shelves: Shelves, question: str, whole: Ranking) -> list[_Asked]:
        """What is asked: the question, and its clauses where it has several. Each says what it is about, or is told."""
        parts = clauses(question)
        if len(parts) < 2:
            return [_Asked(question, whole, whole.score)]
        subject = shelves.title(int(whole.score.argmax()))
        is_own = shelves.nearest_name(self._encoder.encode(parts)) >= OWN_SUBJECT
        told = [part if own else f"{subject}: {part}" for part, own in zip(parts, is_own, strict=True)]
        asked = [
            _Asked(words, ranking, ranking.score if own else (ranking.score + whole.score) * np.float32(0.5))
            for words, ranking, own in zip(told, self._rank(shelves, told), is_own, strict=True)
        ]
        return asked if is_own.all() else [_Asked(question, whole, whole.score), *asked]

    def _rank(self, shelves: Shelves, questions: list[str]) -> list[Ranking]:
        vectors = self._encoder.encode([self._plain.explained(question) for question in questions])
        return [shelves.rank(question, vector) for question, vector in zip(questions, vectors, strict=True)]


def _choose(shelves: Shelves, asked: list[_Asked], top_k: int) -> list[Hit]:
    """The best passages of each question in turn; a document that was quoted gives way to others nearly as good."""
    hits: list[Hit] = []
    scores = [np.where(one.ranking.evidence >= THRESHOLD, one.score, -np.inf) for one in asked]
    while len(hits) < top_k and max(score.max() for score in scores) > -np.inf:
        for one, score in zip(asked, scores, strict=True):
            place = int(score.argmax())
            if len(hits) == top_k or score[place] == -np.inf:
                continue
            hit = shelves.hit(place, one.words, float(one.ranking.cosine[place]))
            hits += [hit] if hit else []
            for other in scores:
                other[place] = -np.inf
                other[shelves.documents == shelves.documents[place]] -= QUOTED
    return hits
