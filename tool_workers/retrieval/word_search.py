"""Word search in a corpus: Okapi BM25 on Porter stems, by SQLite's FTS5."""

import math

import numpy as np
from numpy.typing import NDArray

from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.lexical import content_words
from mmedagent.tool_workers.retrieval.passages import sentence_spans

MAX_WORDS = 48
"""Of a question; the rest is not searched for."""

NAME_WEIGHT = 2.0
"""A word in the name of a document counts twice as much as one in its text."""

_SATURATION = 2.2
"""What BM25 multiplies the weight of a word by when a text repeats it without end: k1 + 1, and FTS5 has k1 = 1.2."""

_MARK, _END = "\x02", "\x03"


class WordSearch:
    """The words of one corpus as they stand in the file now."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def matches(self, words: list[str], passages: NDArray[np.int64]) -> NDArray[np.float32]:
        """How much each word is in each passage: BM25 without the rarity of the word, from 0 to 1.

        Args:
            words: lower case, none twice.
            passages: numbers of passages, in ascending order, shape (n,).

        Returns:
            Shape (words, n); 0 where no form of the word occurs.
        """
        matches = np.zeros((len(words), len(passages)), dtype=np.float32)
        for row, word in enumerate(words):
            found = self._collection.rows(
                "SELECT rowid, -bm25(words, ?, 1.0, 1.0) FROM words WHERE words MATCH ?", NAME_WEIGHT, f'"{word}"'
            )
            if found and len(passages):
                numbers, scores = np.array(found).T
                places = np.minimum(np.searchsorted(passages, numbers), len(passages) - 1)
                known = passages[places] == numbers
                # Another process may be writing, and the file hold more passages than are looked at here.
                saturation = scores[known] / (_SATURATION * _rarity_in_file(len(found), len(passages)))
                matches[row, places[known]] = np.minimum(saturation, 1.0)
        return matches

    def knows(self, word: str) -> bool:
        """Whether any passage contains the word or another form of it."""
        return bool(self._collection.rows("SELECT 1 FROM words WHERE words MATCH ? LIMIT 1", f'"{word}"'))

    def alike(self, sound: str) -> list[str]:
        """The words of the corpus that sound so."""
        return [word for (word,) in self._collection.rows("SELECT word FROM vocabulary WHERE sound = ?", sound)]

    def best_sentence(self, passage: int, text: str, question: str) -> tuple[int, int]:
        """The sentence that shares the most words with the question: its first character, and one past its last."""
        spans = sentence_spans(text)
        found = self._found_words(passage, question)
        return max(spans, key=lambda span: len({word for place, word in found if span[0] <= place < span[1]}))

    def _found_words(self, passage: int, question: str) -> list[tuple[int, str]]:
        """The words of the question in the text of a passage, in any form, with their first characters."""
        words = content_words(question)[:MAX_WORDS]
        if not words:
            return []
        query = "SELECT highlight(words, 2, ?, ?) FROM words WHERE words MATCH ? AND rowid = ?"
        found = []
        for (marked,) in self._collection.rows(query, _MARK, _END, _any_of(words), passage):
            before, *rest = marked.split(_MARK)
            place = len(before)
            for piece in rest:
                word, _, after = piece.partition(_END)
                found.append((place, word.casefold()))
                place += len(word) + len(after)
        return found


def rarities(found: NDArray[np.int64], passages: int) -> NDArray[np.float32]:
    """The weights of words that so many of the passages have, shape (words,), which add up to 1.

    Inverse document frequencies as in Lucene, which are positive for the most frequent words too.
    """
    weights = np.log1p((passages - found + 0.5) / (found + 0.5))
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _rarity_in_file(found: int, passages: int) -> float:
    """The inverse document frequency that FTS5 has multiplied its scores with."""
    return max(1e-6, math.log(max(passages - found + 0.5, 1e-9) / (found + 0.5)))


def _any_of(words: list[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
