"""What a worker process keeps in memory to save work: one cache for all its tools, with one budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge

from mmedagent.imaging.png import decode_frame
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.blobs import BlobStore
from mmedagent.serving.tool import PixelArray, Sized

DEFAULT_MEMORY_MB = 512
FRAMES = "display frames"
"""Not a name that a tool can have: tools cache under theirs."""

Key = tuple[str, ...]
S = TypeVar("S", bound=Sized)


class Requests(Protocol):
    """Counts what a cache was asked for."""

    def __call__(self, cache: str, *, hit: bool) -> None:
        """`cache` is the first part of the key."""


class ByteCache:
    """Values by key, until together they are larger than the budget; what was not used for longest goes first.

    A value says its size with `nbytes`. One that is larger than the budget is given out and not kept. Used from many
    threads: what two of them want at the same time is made once.
    """

    def __init__(self, budget_bytes: int, note: Requests | None = None) -> None:
        self.nbytes = 0
        self._budget = budget_bytes
        self._note = note
        self._kept: OrderedDict[Key, Sized] = OrderedDict()
        self._making: dict[Key, threading.Event] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], S]) -> S:
        """The value that is kept under `key`, or the one that `make` returns. Raises what `make` raises."""
        while True:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    value = self._kept[key]
                    break
                maker = self._making.get(key)
                if maker is None:
                    done = self._making[key] = threading.Event()
            if maker is None:
                return self._made(key, make, done)
            maker.wait()
        self._count(key, hit=True)
        return cast("S", value)

    def _made(self, key: Key, make: Callable[[], S], done: threading.Event) -> S:
        self._count(key, hit=False)
        try:
            value = make()
            self._keep(key, value)
            return value
        finally:
            with self._lock:
                del self._making[key]
            done.set()

    def _keep(self, key: Key, value: Sized) -> None:
        if value.nbytes > self._budget:
            return
        with self._lock:
            self._kept[key] = value
            self.nbytes += value.nbytes
            while self.nbytes > self._budget:
                _, dropped = self._kept.popitem(last=False)
                self.nbytes -= dropped.nbytes

    def _count(self, key: Key, *, hit: bool) -> None:
        if self._note:
            self._note(key[0], hit=hit)


class FrameCache:
    """Decoded display frames by blob, kept in the cache of the process."""

    def __init__(self, blobs: BlobStore, cache: ByteCache) -> None:
        self._blobs = blobs
        self._cache = cache

    def frame(self, image: ImageRef) -> PixelArray:
        """The frame, which nobody may write to. Raises `NotFoundError` when the blob is gone."""
        return self._cache.get((FRAMES, image.sha256), lambda: self._decoded(image))

    def _decoded(self, image: ImageRef) -> PixelArray:
        frame = decode_frame(self._blobs.get(image.sha256))
        frame.setflags(write=False)
        return frame


def measured_cache(memory_mb: int, registry: CollectorRegistry) -> ByteCache:
    """A cache of that many MiB whose requests and size are metrics."""
    labels = ("cache", "outcome")
    requests = Counter("mmedagent_cache_requests", "What caches were asked for", labels, registry=registry)

    def note(cache: str, *, hit: bool) -> None:
        requests.labels(cache, "hit" if hit else "miss").inc()

    cache = ByteCache(memory_mb * 2**20, note)
    size = Gauge("mmedagent_cache_bytes", "Memory that caches hold", registry=registry)
    size.set_function(lambda: cache.nbytes)
    return cache
