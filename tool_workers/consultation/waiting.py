"""Doctors who are asked at the same time: each in a thread of its own, none waited for longer than its deadline.

A thread cannot be stopped from outside, so a doctor who is deaf to the deadline keeps one until it answers after all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from mmedagent.protocol.errors import DeadlineError, MMedAgentError, OverloadedError, WorkerError

_logger = logging.getLogger(__name__)
T = TypeVar("T")
LISTEN_S = 0.05
"""How often it is looked whether whoever waits has left, in seconds."""

RETRY_AFTER_S = 5.0
LATE = "There was no answer in time."
TOO_MANY = "Too many doctors have not answered earlier questions yet."
MAX_THREADS = 128
"""Of all consultations of a tool together: eight calls of nine specialists and more, some of them deaf."""


@dataclass(frozen=True)
class Came(Generic[T]):
    """What one of the tasks, by its place, gave or raised, and the seconds from the start that it took."""

    place: int
    outcome: T | MMedAgentError
    seconds: float


class Threads:
    """At most so many threads at work, those of tasks that nobody waits for any more included."""

    def __init__(self, most: int = MAX_THREADS) -> None:
        self._free = threading.Semaphore(most)

    def start(self, work: Callable[[], None]) -> bool:
        """Do it in a thread that sees the context of the caller. False when there is no thread for it."""
        if not self._free.acquire(blocking=False):
            return False
        thread = threading.Thread(target=copy_context().run, args=(self._do, work), name="doctor", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._free.release()
            return False
        return True

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._free.release()


def as_they_come(
    tasks: Sequence[Callable[[], T]], deadline_s: float, raise_if_cancelled: Callable[[], None], threads: Threads
) -> Iterator[Came[T]]:
    """The outcomes in the order in which they come. Who has not come in time is a `DeadlineError` at the end.

    A task that is deaf to its own deadline goes on in its thread, and nobody hears of it any more. One for which there
    is no thread is an `OverloadedError`. Raises what `raise_if_cancelled` raises, which is asked all the while.
    """
    came: SimpleQueue[Came[T]] = SimpleQueue()
    started = time.monotonic()

    def do(place: int, task: Callable[[], T]) -> None:
        outcome = _outcome(task)
        came.put(Came(place, outcome, time.monotonic() - started))

    for place, task in enumerate(tasks):
        if not threads.start(partial(do, place, task)):
            came.put(Came(place, OverloadedError(TOO_MANY, retry_after=RETRY_AFTER_S), 0.0))
    missing = set(range(len(tasks)))
    while missing and (left := deadline_s - (time.monotonic() - started)) > 0:
        raise_if_cancelled()
        try:
            one = came.get(timeout=min(LISTEN_S, left))
        except Empty:
            continue
        missing.remove(one.place)
        yield one
    raise_if_cancelled()
    for place in sorted(missing):
        yield Came(place, DeadlineError(LATE), time.monotonic() - started)


def _outcome(task: Callable[[], T]) -> T | MMedAgentError:
    try:
        return task()
    except MMedAgentError as error:
        return error
    except Exception:
        _logger.exception("a doctor failed in an unexpected way")
        return WorkerError("The model failed in an unexpected way.")
