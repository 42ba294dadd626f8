"""Which corpora there are: the packaged handbook, and those in the user's folder as they come, change and go."""

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.shelf import Shelf

log = logging.getLogger(__name__)

HANDBOOK_NAME = "handbook"
SUFFIX = ".sqlite"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PAUSE = 20.0
"""A corpus that somebody writes to is read again after this many times the seconds that reading it took."""


class Corpora:
    """The user's corpora: a folder with an SQLite file for each. The folder need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem))

    def path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def open(self, name: str, create: bool = False) -> Collection:
        """Raises `InvalidRequestError` for a bad name, `NotFoundError`, and `ConflictError` for a damaged file."""
        if not _NAME.fullmatch(name) or name == HANDBOOK_NAME:
            raise InvalidRequestError(
                f"A corpus cannot be called {name!r:.80}: use a-z, 0-9, _ and -, and not {HANDBOOK_NAME}."
            )
        if create:
            self._folder.mkdir(parents=True, exist_ok=True)
        elif not self.path(name).is_file():
            known = ", ".join(self.names()) or "none"
            raise NotFoundError(f"There is no corpus {name}; there is: {known}.")
        return Collection(name, name, self.path(name))

    def remove(self, name: str) -> None:
        """Delete a corpus with everything in it, also a damaged one. Raises as `open`."""
        with suppress(ConflictError):
            self.open(name).close()
        for ending in ("", "-wal", "-shm"):
            self.path(name).with_name(f"{name}{SUFFIX}{ending}").unlink(missing_ok=True)


class _Entry:
    """A corpus that is open: which file it is, and its shelf as of the last reading."""

    def __init__(self, collection: Collection, inode: int) -> None:
        self.inode = inode
        self._collection = collection
        self._seen = -1
        self._read_again = 0.0
        self._shelf: Shelf | None = None

    def shelf(self) -> Shelf | None:
        """The corpus as it is, or as it was a moment ago; None while it is empty."""
        started = time.monotonic()
        seen = self._collection.changes()
        if seen != self._seen and started >= self._read_again:
            self._shelf = Shelf(self._collection)
            self._seen = seen
            now = time.monotonic()
            self._read_again = now + _PAUSE * (now - started)
        return self._shelf if self._shelf and len(self._shelf.passages) else None


class Library:
    """The shelves to search. Safe to use from several threads.

    Args:
        handbook: a corpus that never changes, or None.
        corpora: the user's, or None.
        name: of the user's corpora, this one only; all without it.
        on_pending: called at every search while embeddings are missing somewhere.
    """

    def __init__(
        self,
        handbook: Collection | None,
        corpora: Corpora | None = None,
        *,
        name: str | None = None,
        on_pending: Callable[[], None] = lambda: None,
    ) -> None:
        self._fixed = [Shelf(handbook)] if handbook else []
        self._corpora = corpora
        self._name = name
        self._on_pending = on_pending
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def shelves(self) -> list[Shelf]:
        """The handbook first, then the user's corpora by name. One that cannot be read is left out, and logged."""
        with self._lock:
            names = [name for name in self._names() if self._is_open(name)]
            self._entries = {name: self._entries[name] for name in names}
            shelves = [shelf for entry in self._entries.values() if (shelf := entry.shelf())]
        if not all(shelf.is_whole for shelf in shelves):
            self._on_pending()
        return self._fixed + shelves

    def _names(self) -> list[str]:
        names = self._corpora.names() if self._corpora else []
        return [name for name in names if self._name in {None, name}]

    def _is_open(self, name: str) -> bool:
        """Open a corpus that is new, or another one under an old name."""
        if self._corpora is None:
            return False
        try:
            inode = self._corpora.path(name).stat().st_ino
            if name not in self._entries or self._entries[name].inode != inode:
                self._entries[name] = _Entry(self._corpora.open(name), inode)
        except (OSError, ConflictError, NotFoundError):
            log.warning("a corpus cannot be read", extra={"tool": "retrieval"})
            return False
        return True
