"""Blocking model work beside an event loop: bounded threads, a bounded queue, deadlines and cancellation."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import TypeVar

from mmedagent.protocol.errors import CancelledError, DeadlineError, MMedAgentError, OverloadedError, WorkerError

log = logging.getLogger(__name__)
T = TypeVar("T")
QUEUE_FACTOR = 4
RETRY_AFTER_S = 1.0


class CancelToken:
    """Tells a thread that nobody waits for it any more, or that its time is over."""

    def __init__(self, deadline_s: float) -> None:
        self._cancelled = threading.Event()
        self._ends = time.monotonic() + deadline_s
        self._callbacks: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled.set()
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back when the token is cancelled while the context lasts, or at once when it already is."""
        with self._lock:
            self._callbacks.append(callback)
            cancelled = self._cancelled.is_set()
        if cancelled:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    @property
    def remaining_s(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether whoever waited has gone."""
        return self._cancelled.is_set()

    @property
    def ended(self) -> bool:
        """Whether the work is not worth while any more: cancelled, or the deadline has passed."""
        return self.cancelled or self.remaining_s <= 0

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise CancelledError("The caller left.")
        if self.remaining_s <= 0:
            raise DeadlineError("The deadline has passed.")


class WorkPool:
    """At most `concurrency` jobs at once and four times as many waiting; one more is refused.

    Whatever a job raises that is not of the exception tree is logged and becomes a `WorkerError`.
    A thread cannot be stopped from outside, so a job that outlives its deadline keeps its place until it ends:
    the bound on running jobs always holds, and no place is ever lost.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.in_flight = 0
        self.queued = 0
        self._places = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="work")

    async def run(self, work: Callable[[CancelToken], T], deadline_s: float) -> T:
        """The result of `work` in a thread. Raises `OverloadedError`, `DeadlineError`, and what `work` raises."""
        token = CancelToken(deadline_s)
        async with self._waiting(token):
            future = self._start(lambda: work(token))
            async with asyncio.timeout(token.remaining_s):
                return await asyncio.shield(future)

    async def stream(self, work: Callable[[CancelToken], Iterator[T]], deadline_s: float) -> AsyncIterator[list[T]]:
        """The items that `work` yields in a thread: each time those that have gathered since the last time.

        Closing the stream cancels the work.
        """
        token = CancelToken(deadline_s)
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[T | None] = asyncio.Queue()

        def produce() -> None:
            try:
                for item in work(token):
                    loop.call_soon_threadsafe(items.put_nowait, item)
            finally:
                loop.call_soon_threadsafe(items.put_nowait, None)

        async with self._waiting(token):
            future = self._start(produce)
            while True:
                async with asyncio.timeout(token.remaining_s):
                    gathered = [await items.get()]
                while not items.empty():
                    gathered.append(items.get_nowait())
                if ready := [item for item in gathered if item is not None]:
                    yield ready
                if gathered[-1] is None:
                    break
            await future

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _waiting(self, token: CancelToken) -> AsyncIterator[None]:
        """Wait for a place, and turn leaving early, for whatever reason, into a cancelled token."""
        if self._places.locked() and self.queued >= QUEUE_FACTOR * self.concurrency:
            raise OverloadedError("The queue is full.", retry_after=RETRY_AFTER_S)
        self.queued += 1
        try:
            async with asyncio.timeout(token.remaining_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise DeadlineError("The deadline passed while waiting in the queue.") from error
        finally:
            self.queued -= 1
        try:
            yield
        except TimeoutError as error:
            raise DeadlineError("The deadline has passed.") from error
        finally:
            token.cancel()

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, _guarded, work)
        self.in_flight += 1
        future.add_done_callback(self._finished)
        return future

    def _finished(self, future: asyncio.Future[T]) -> None:
        self.in_flight -= 1
        self._places.release()
        if not future.cancelled():
            future.exception()


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except MMedAgentError:
        raise
    except Exception as error:
        log.exception("unexpected error at work")
        raise WorkerError("The model failed in an unexpected way.") from error
