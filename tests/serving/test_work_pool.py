"""Blocking work beside an event loop: bounds, deadlines, leaving callers, and no place ever lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from mmedagent.protocol.errors import (
    CancelledError,
    DeadlineError,
    InvalidParametersError,
    OverloadedError,
    UnreadableImageError,
    WorkerError,
)
from mmedagent.serving.logs import correlation_id
from mmedagent.serving.work import QUEUE_FACTOR, CancelToken, WorkPool
from support.tools import PATIENCE_S, POLL_S, wait_until

LONG_S, SHORT_S = 60.0, 0.05


class Job:
    """Work that goes on until it is released, or, unless it is deaf, until it is cancelled."""

    def __init__(self, deaf: bool = False) -> None:
        self.started = threading.Event()
        self.release = threading.Event()
        self.ended = threading.Event()
        self.error = ""
        self._deaf = deaf

    def __call__(self, token: CancelToken) -> str:
        self.started.set()
        try:
            while not self.release.wait(POLL_S):
                if not self._deaf:
                    token.raise_if_cancelled()
        except (CancelledError, DeadlineError) as error:
            self.error = error.code
            raise
        finally:
            self.ended.set()
        return "done"


@pytest.fixture
async def pool() -> AsyncIterator[WorkPool]:
    made = WorkPool(2)
    yield made
    made.close()


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE_S)


async def until_idle(pool: WorkPool) -> None:
    await asyncio.to_thread(wait_until, lambda: pool.in_flight == 0, "every place is free")


async def test_so_many_run_so_many_wait_and_one_more_is_refused(pool: WorkPool) -> None:
    job = Job()
    places = pool.concurrency * (1 + QUEUE_FACTOR)
    tasks = [asyncio.create_task(pool.run(job, LONG_S)) for _ in range(places)]
    await until(job.started)
    assert (pool.in_flight, pool.queued) == (pool.concurrency, places - pool.concurrency)
    with pytest.raises(OverloadedError) as refused:
        await pool.run(job, LONG_S)
    assert refused.value.retry_after
    with pytest.raises(OverloadedError):
        await anext(pool.stream(lambda _: iter(()), LONG_S))
    job.release.set()
    assert await asyncio.gather(*tasks) == ["done"] * places
    assert (pool.in_flight, pool.queued) == (0, 0)


async def test_a_job_that_outlives_its_deadline_keeps_its_place_until_it_ends(pool: WorkPool) -> None:
    deaf = [Job(deaf=True) for _ in range(pool.concurrency)]
    outcomes = await asyncio.gather(*(pool.run(job, SHORT_S) for job in deaf), return_exceptions=True)
    assert [type(one) for one in outcomes] == [DeadlineError] * pool.concurrency
    assert pool.in_flight == pool.concurrency
    with pytest.raises(DeadlineError, match="queue"):
        await pool.run(Job(), SHORT_S)
    assert pool.queued == 0
    for job in deaf:
        job.release.set()
    await until_idle(pool)
    assert await pool.run(lambda _: "next", LONG_S) == "next"


async def test_a_job_hears_of_its_deadline_and_of_a_caller_that_left(pool: WorkPool) -> None:
    late = Job()
    with pytest.raises(DeadlineError):
        await pool.run(late, SHORT_S)
    await until(late.ended)
    left = Job()
    task = asyncio.create_task(pool.run(left, LONG_S))
    await until(left.started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(left.ended)
    assert left.error == "cancelled"
    await until_idle(pool)


async def test_a_caller_that_leaves_the_queue_was_never_there(pool: WorkPool) -> None:
    job, never = Job(), Job()
    running = [asyncio.create_task(pool.run(job, LONG_S)) for _ in range(pool.concurrency)]
    await until(job.started)
    waiting = asyncio.create_task(pool.run(never, LONG_S))
    await asyncio.sleep(0)
    assert pool.queued == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.queued == 0
    job.release.set()
    await asyncio.gather(*running)
    assert not never.started.is_set()


def refuse(_: CancelToken) -> None:
    raise InvalidParametersError("Wrong.")


def crash(_: CancelToken) -> None:
    raise ValueError("not foreseen")


def run_out(_: CancelToken) -> None:
    raise TimeoutError("of its own")


@pytest.mark.parametrize(
    ("work", "kind"), [(refuse, InvalidParametersError), (crash, WorkerError), (run_out, WorkerError)]
)
async def test_fifty_failures_cost_no_place(pool: WorkPool, work: object, kind: type[Exception]) -> None:
    assert callable(work)
    for _ in range(50):
        with pytest.raises(kind):
            await pool.run(work, LONG_S)
    assert (pool.in_flight, pool.queued) == (0, 0)
    assert await pool.run(lambda _: "next", LONG_S) == "next"


async def test_work_knows_the_request_that_it_belongs_to(pool: WorkPool) -> None:
    token = correlation_id.set("request-1")
    assert await pool.run(lambda _: correlation_id.get(), LONG_S) == "request-1"
    correlation_id.reset(token)


async def test_a_stream_gives_every_item_in_order_and_then_its_error(pool: WorkPool) -> None:
    def count(token: CancelToken) -> Iterator[int]:
        for number in range(1_000):
            token.raise_if_cancelled()
            yield number
        raise UnreadableImageError("Broken.")

    received: list[int] = []

    async def receive() -> None:
        async for gathered in pool.stream(count, LONG_S):
            received.extend(gathered)

    with pytest.raises(UnreadableImageError):
        await receive()
    assert received == list(range(1_000))
    await until_idle(pool)


async def test_closing_a_stream_cancels_its_work(pool: WorkPool) -> None:
    ended = threading.Event()

    def endless(token: CancelToken) -> Iterator[int]:
        try:
            while True:
                token.raise_if_cancelled()
                yield 1
        finally:
            ended.set()

    stream = pool.stream(endless, LONG_S)
    assert (await anext(stream))[0] == 1
    await stream.aclose()  # type: ignore[attr-defined]
    await until(ended)
    await until_idle(pool)


async def test_a_stream_ends_at_its_deadline(pool: WorkPool) -> None:
    job = Job()

    def silent(token: CancelToken) -> Iterator[str]:
        yield job(token)

    with pytest.raises(DeadlineError):
        await anext(pool.stream(silent, SHORT_S))
    await until(job.ended)
    await until_idle(pool)
