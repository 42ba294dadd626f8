"""One corpus in an SQLite file: what it holds, word for word, and the embeddings that have been computed so far."""

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmedagent.protocol.errors import ConflictError
from mmedagent.tool_workers.retrieval.lexical import content_words, sound_of
from mmedagent.tool_workers.retrieval.passages import Document, Passage
from mmedagent.tool_workers.retrieval.schema import NAME, PASSAGE, QUESTION, SCHEMA, VERSION
from mmedagent.tool_workers.retrieval.section_questions import question_of
from mmedagent.tool_workers.retrieval.vectors import Vectors

BUSY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Counts:
    """How much a corpus holds; `pending` of the texts that are embedded have no vector yet."""

    files: int
    documents: int
    passages: int
    texts: int
    pending: int


@dataclass(frozen=True)
class Pending:
    """A text without a vector, and the row that waits for it."""

    row: int
    text: str


class Collection:
    """Reads and writes one corpus; without a path it is kept in memory. Safe to use from several threads and processes.

    `label` begins the source of every quotation. Raises `ConflictError` for a file that is no corpus of this version.
    """

    def __init__(self, name: str, label: str, path: Path | None = None) -> None:
        self.name = name
        self.label = label
        self._lock = threading.RLock()
        self._database = sqlite3.connect(
            path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, self._database.close)
        try:
            version = self._prepare()
        except sqlite3.DatabaseError as error:
            raise ConflictError(f"The corpus {name} cannot be read: {error}.") from error
        if version != VERSION:
            raise ConflictError(f"The corpus {name} was made by another version; remove it and add it again.")

    def _prepare(self) -> int:
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;")
        [[version]] = self.rows("PRAGMA user_version")
        if version == 0:
            self._database.executescript(SCHEMA)
        return int(version or VERSION)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def rows(self, query: str, *values: object) -> list[Any]:
        """All rows of a SELECT."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def changes(self) -> int:
        """Another number after another connection has written."""
        [[number]] = self.rows("PRAGMA data_version")
        return int(number)

    def counts(self) -> Counts:
        [row] = self.rows(
            """SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM documents),
            total(kind = ?), count(*), count(*) - count(vector) FROM texts""",
            PASSAGE,
        )
        return Counts(*(int(number) for number in row))

    def files(self) -> dict[str, str]:
        """The sha256 of every file by its absolute path."""
        return dict(self.rows("SELECT path, sha256 FROM files"))

    def replace_file(self, path: str, shown: str, sha256: str, documents: Iterable[Document]) -> None:
        """Put the documents of a file in place of what it held before, all or nothing; texts that stay keep vectors."""
        with self._writing():
            vectors = dict(
                self.rows(
                    """SELECT text, vector FROM texts WHERE vector IS NOT NULL AND document IN
                    (SELECT documents.id FROM documents JOIN files ON files.id = file WHERE path = ?)""",
                    path,
                )
            )
            self._database.execute("DELETE FROM files WHERE path = ?", (path,))
            file = self._insert("INSERT INTO files (path, shown, sha256) VALUES (?, ?, ?)", path, shown, sha256)
            for document in documents:
                self._add(document, file, vectors)

    def remove_files(self, paths: Iterable[str]) -> None:
        with self._writing():
            self._database.executemany("DELETE FROM files WHERE path = ?", ((path,) for path in paths))

    def pending(self, limit: int, newest_first: bool = False) -> list[Pending]:
        """Up to `limit` texts that have no vector yet: names and questions of sections first, then passages."""
        rows = self.rows(
            "SELECT id, text FROM texts WHERE vector IS NULL ORDER BY kind, id * ? LIMIT ?",
            -1 if newest_first else 1,
            limit,
        )
        return [Pending(*row) for row in rows]

    def set_vectors(self, texts: Sequence[Pending], vectors: Vectors) -> None:
        """Keep the vectors of texts, shape (n, 384), in half precision. What has been deleted meanwhile is left out."""
        halves = [vector.tobytes() for vector in vectors.astype(np.float16)]
        rows = zip(halves, (text.row for text in texts), strict=True)
        with self._writing():
            self._database.executemany("UPDATE texts SET vector = ? WHERE id = ?", rows)

    def _add(self, document: Document, file: int, vectors: dict[str, bytes]) -> None:
        row = self._insert("INSERT INTO documents (file, title) VALUES (?, ?)", file, document.title)
        sections = dict.fromkeys(passage.section for passage in document.passages)
        texts = [(NAME, name, "") for name in document.names]
        texts += [(QUESTION, question_of(document.title, section), section) for section in sections]
        for kind, text, section in texts:
            self._insert(
                "INSERT INTO texts (document, kind, text, section, vector) VALUES (?, ?, ?, ?, ?)",
                row,
                kind,
                text,
                section,
                vectors.get(text),
            )
        for passage in document.passages:
            self._add_passage(document, row, passage, vectors)
        written = (f"{passage.section} {passage.text}" for passage in document.passages)
        words = set(content_words(" ".join((*document.names, *written))))
        self._database.executemany(
            "INSERT OR IGNORE INTO vocabulary VALUES (?, ?)", ((word, sound_of(word)) for word in words)
        )

    def _add_passage(self, document: Document, row: int, passage: Passage, vectors: dict[str, bytes]) -> None:
        text = f"{document.title}. {passage.text}"
        number = self._insert(
            "INSERT INTO texts (document, kind, text, section, place, page, vector) VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
            PASSAGE,
            text,
            passage.section,
            passage.place,
            passage.page,
            vectors.get(text),
        )
        self._insert(
            "INSERT INTO words (rowid, names, section, body) VALUES (?, ?, ?, ?)",
            number,
            " ".join(document.names),
            passage.section,
            passage.text,
        )

    def _insert(self, statement: str, *values: object) -> int:
        return int(self._database.execute(statement, values).lastrowid or 0)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read inside is of one moment, whatever others write meanwhile."""
        with self._lock:
            self._database.execute("BEGIN")
            try:
                yield
            finally:
                self._database.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All that is written inside is kept, or none of it."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
