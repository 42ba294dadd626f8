"""Several corpora as one: their passages stand one after the other, and have a place from 0."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmedagent.tool_workers.retrieval.lexical import content_words
from mmedagent.tool_workers.retrieval.schema import PASSAGE
from mmedagent.tool_workers.retrieval.shelf import Ranking, Scores, Shelf
from mmedagent.tool_workers.retrieval.surroundings import text_around
from mmedagent.tool_workers.retrieval.vectors import Vectors
from mmedagent.tool_workers.retrieval.word_search import MAX_WORDS, rarities


@dataclass(frozen=True)
class Hit:
    """A quoted passage. `highlight` is its most relevant sentence: first character, and one past the last.

    `cosine` is that of passage and question, 0 to 1; for a passage that is not embedded yet it is the share of the
    question's words that it has. `document` is the text that it stands in.
    """

    corpus: str
    title: str
    section: str
    text: str
    source: str
    page: int | None
    highlight: tuple[int, int]
    cosine: float
    document: str


class Shelves:
    """At least one corpus, none of them empty. `documents` says which passages belong together."""

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._shelves = shelves
        self._ends = np.cumsum([len(shelf.passages) for shelf in shelves])
        starts = np.cumsum([0, *(shelf.documents[-1] + 1 for shelf in shelves)])
        self.documents = np.concatenate(
            [one.documents + start for one, start in zip(shelves, starts[:-1], strict=True)]
        )
        self.words = [shelf.words for shelf in shelves]

    def rank(self, question: str, vector: Vectors) -> Ranking:
        """What a question, given with its vector of shape (384,), is worth to each passage of all corpora."""
        words = list(dict.fromkeys(content_words(question)))[:MAX_WORDS] or [""]
        matches = [shelf.words.matches(words, shelf.passages) for shelf in self._shelves]
        found = np.sum([np.count_nonzero(one, axis=1) for one in matches], axis=0)
        weights = rarities(found, len(self.documents))[:, np.newaxis]
        rankings = [shelf.rank(vector, one * weights) for shelf, one in zip(self._shelves, matches, strict=True)]
        return Ranking(
            cosine=np.concatenate([ranking.cosine for ranking in rankings]),
            own=np.concatenate([ranking.own for ranking in rankings]),
            evidence=np.concatenate([ranking.evidence for ranking in rankings]),
            score=np.concatenate([ranking.score for ranking in rankings]),
        )

    def nearest_name(self, vectors: Vectors) -> Scores:
        """The cosine of each vector, shape (n, 384), with the name of a document nearest to it."""
        nearest: Scores = np.maximum.reduce([shelf.nearest_name(vectors) for shelf in self._shelves])
        return nearest

    def title(self, place: int) -> str:
        """The title of the document that a passage belongs to; empty when it has been deleted a moment ago."""
        shelf, number = self._locate(place)
        query = "SELECT title FROM texts JOIN documents ON documents.id = document WHERE texts.id = ?"
        return "".join(title for (title,) in shelf.collection.rows(query, number))

    def hit(self, place: int, question: str, cosine: float) -> Hit | None:
        """A passage, quoted; None when it has been deleted a moment ago."""
        shelf, number = self._locate(place)
        rows = shelf.collection.rows(
            """SELECT title, texts.section, body, place, page FROM texts JOIN words ON words.rowid = texts.id
            JOIN documents ON documents.id = document WHERE texts.id = ? AND kind = ?""",
            number,
            PASSAGE,
        )
        for title, section, text, source, page in rows:
            return Hit(
                corpus=shelf.collection.name,
                title=title,
                section=section,
                text=text,
                source=f"{shelf.collection.label}: {source}",
                page=page,
                highlight=shelf.words.best_sentence(number, text, question),
                cosine=min(max(cosine, 0.0), 1.0),
                document=text_around(shelf.collection, number),
            )
        return None

    def _locate(self, place: int) -> tuple[Shelf, int]:
        index = int(np.searchsorted(self._ends, place, side="right"))
        shelf = self._shelves[index]
        return shelf, int(shelf.passages[place - self._ends[index]])
