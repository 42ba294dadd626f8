"""The cache of a worker process: what it keeps, what it lets go, and that nothing is made twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmedagent.protocol.errors import NotFoundError
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.cache import ByteCache
from support.images import png_bytes
from support.tools import PATIENCE_S, MaskTool
from support.worker import call, metric, running_worker

Values = np.ndarray[tuple[int], np.dtype[np.uint8]]


class Maker:
    """Makes arrays of so many bytes, and counts how often."""

    def __init__(self, nbytes: int) -> None:
        self.made = 0
        self._nbytes = nbytes

    def __call__(self) -> Values:
        self.made += 1
        return np.zeros(self._nbytes, np.uint8)


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = ByteCache(100)
    makers = {name: Maker(40) for name in "abc"}

    def get(name: str) -> Values:
        return cache.get(("test", name), makers[name])

    first = get("a")
    get("b")
    assert get("a") is first
    get("c")
    assert cache.nbytes == 80
    get("a")
    get("b")
    assert {name: maker.made for name, maker in makers.items()} == {"a": 1, "b": 2, "c": 1}


def test_what_is_larger_than_all_the_memory_is_given_and_not_kept() -> None:
    cache, small, large = ByteCache(100), Maker(40), Maker(101)
    cache.get(("small",), small)
    for _ in range(2):
        assert cache.get(("large",), large).nbytes == 101
    cache.get(("small",), small)
    assert (small.made, large.made, cache.nbytes) == (1, 2, 40)


def test_what_two_threads_want_at_once_is_made_once() -> None:
    cache, begun, may_end = ByteCache(100), threading.Event(), threading.Event()
    maker = Maker(10)

    def slowly() -> Values:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        return maker()

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(cache.get, ("test",), slowly) for _ in range(4)]
        assert begun.wait(PATIENCE_S)
        may_end.set()
        values = [one.result(PATIENCE_S) for one in asked]
    assert maker.made == 1
    assert all(value is values[0] for value in values)


def test_a_failure_is_not_kept_and_not_shared() -> None:
    cache, begun, may_end, maker = ByteCache(100), threading.Event(), threading.Event(), Maker(10)

    def fail() -> Values:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        raise NotFoundError("Gone.")

    with ThreadPoolExecutor(2) as threads:
        failing = threads.submit(cache.get, ("test",), fail)
        assert begun.wait(PATIENCE_S)
        waiting = threads.submit(cache.get, ("test",), maker)
        may_end.set()
        with pytest.raises(NotFoundError):
            failing.result(PATIENCE_S)
        assert waiting.result(PATIENCE_S).nbytes == 10
    assert maker.made == 1


def test_tools_of_a_process_share_decoded_images(tmp_path: Path) -> None:
    frame = FolderBlobStore(tmp_path / "blobs").put(png_bytes(24, 16))
    image = {"sha256": frame, "source_sha256": "0" * 64, "width": 24, "height": 16}
    names = ("mask", "veil")
    with running_worker(tmp_path, *(MaskTool(name) for name in names)) as client:
        for name in names:
            assert client.post(f"/{name}/invoke", json={**call(name), "image": image}).status_code == 200
        asked = {
            outcome: metric(client, "mmedagent_cache_requests_total", cache="display frames", outcome=outcome)
            for outcome in ("hit", "miss")
        }
        assert asked == {"hit": 1, "miss": 1}
        assert metric(client, "mmedagent_cache_bytes") == 24 * 16 * 3


def test_the_memory_of_a_worker_is_bounded(tmp_path: Path) -> None:
    """A picture of more than the one megabyte that is allowed is decoded each time."""
    frame = FolderBlobStore(tmp_path / "blobs").put(png_bytes(700, 600))
    image = {"sha256": frame, "source_sha256": "0" * 64, "width": 700, "height": 600}
    with running_worker(tmp_path, MaskTool(), memory_mb=1) as client:
        for _ in range(2):
            assert client.post("/mask/invoke", json={**call("mask"), "image": image}).status_code == 200
        assert metric(client, "mmedagent_cache_requests_total", cache="display frames", outcome="miss") == 2
        assert metric(client, "mmedagent_cache_bytes") == 0
