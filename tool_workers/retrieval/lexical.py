"""Word search over the passages: Okapi BM25 on Porter stems, by SQLite's FTS5."""

import re
import sqlite3
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

from mmedagent.tool_workers.retrieval.corpus import Corpus

FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about an and any are as at be been but by can could did do does doing done for from get give had has have
        how i if in into is it its know may me might my need no not of on or our please shall should so some someone
        tell than that the their them then there these they this those to us was we were what when where which who whom
        why will with would you your""",
    )
)
"""English words of grammar, which say nothing about a subject."""

_NAME_WEIGHT = 2.0
"""A word in the name of a condition counts twice as much as one in its text."""


def content_words(text: str) -> list[str]:
    """The words of a text in lower case, without words of grammar and single letters."""
    words = re.findall(r"\w+", text.casefold())
    return [word for word in words if word not in FUNCTION_WORDS and len(word) > 1]


class WordSearch:
    """An in-memory full-text index; safe to use from several threads."""

    def __init__(self, corpus: Corpus) -> None:
        self._size = len(corpus.passages)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._database.close)
        self._database.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(names, section, body, tokenize = 'porter unicode61')"
        )
        rows = (
            (" ".join(condition.names), passage.section, passage.text)
            for condition in corpus.conditions
            for passage in condition.passages
        )
        self._database.executemany("INSERT INTO passages(names, section, body) VALUES (?, ?, ?)", rows)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 of every passage, shape (passages,); 0 where no content word occurs."""
        scores = np.zeros(self._size, dtype=np.float32)
        words = content_words(question)
        if words:
            match = " OR ".join(f'"{word}"' for word in words)
            query = "SELECT rowid, bm25(passages, ?, 1.0, 1.0) FROM passages WHERE passages MATCH ?"
            with self._lock:
                for row, score in self._database.execute(query, (_NAME_WEIGHT, match)):
                    scores[row - 1] = -score
        return scores

    def knows(self, word: str) -> bool:
        """Whether any passage contains the word or another form of it."""
        with self._lock:
            found = self._database.execute(
                "SELECT 1 FROM passages WHERE passages MATCH ? LIMIT 1", (f'"{word}"',)
            ).fetchone()
        return found is not None
