"""Embeddings are computed after the words are searchable, in steps that are kept, so that they can stop at any time."""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmedagent.protocol.errors import MMedAgentError
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.library import Corpora
from mmedagent.tool_workers.retrieval.vectors import Encoder

log = logging.getLogger(__name__)

BATCH = 128
"""Texts between two steps: a few seconds on one core."""

_BACKGROUND_BATCH = 16
_NICENESS = 19


def embed_pending(
    collection: Collection,
    encoder: Encoder,
    *,
    batch: int = BATCH,
    workers: int = 1,
    newest_first: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Embed every text of a corpus that has no vector yet.

    Each of `workers` threads embeds a batch at a time, and is best given one core. `advance` gets the number of texts
    after each step. Two processes that work from both ends share the work.
    """
    with ThreadPoolExecutor(workers) as threads:
        while not stopped():
            texts = collection.pending(batch * workers, newest_first)
            if not texts:
                return
            batches = [texts[start : start + batch] for start in range(0, len(texts), batch)]
            encoded = threads.map(encoder.encode, [[text.text for text in one] for one in batches])
            for one, vectors in zip(batches, encoded, strict=True):
                collection.set_vectors(one, vectors)
                advance(len(one))


class BackgroundEmbedder:
    """Finishes what an interrupted `corpus add` has left, in a thread that gives way to everything else.

    The thread lives while there is something to do; it ends at the next step when this object or the process does.
    """

    def __init__(self, corpora: Corpora, encoder: Encoder) -> None:
        self._corpora = corpora
        self._encoder = encoder
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        weakref.finalize(self, self._stopped.set)

    def wake(self) -> None:
        """Start the thread unless it runs."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                work = (self._corpora, self._encoder, self._stopped)
                self._thread = threading.Thread(target=_embed_all, args=work, name="embeddings", daemon=True)
                self._thread.start()

    def join(self) -> None:
        """Wait until there is nothing left to do."""
        thread = self._thread
        if thread:
            thread.join()


def _embed_all(corpora: Corpora, encoder: Encoder, stopped: threading.Event) -> None:
    with suppress(AttributeError, OSError):
        # Linux counts niceness a thread; elsewhere the thread has that of the process.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
    for name in corpora.names():
        try:
            embed_pending(
                corpora.open(name), encoder, batch=_BACKGROUND_BATCH, newest_first=True, stopped=stopped.is_set
            )
        except MMedAgentError:
            log.warning("a corpus cannot be embedded", extra={"tool": "retrieval"})
