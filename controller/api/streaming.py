"""Answering a request with the events of a turn: as a stream, or all at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import StreamingResponse

from mmedagent.controller.live import LiveTurn
from mmedagent.protocol.errors import UnauthorizedError, error_from_problem
from mmedagent.protocol.events import StoredEvent, TurnFailed
from mmedagent.serving import sse
from mmedagent.serving.worker import until_disconnect

CHECK_S = 0.5
"""How often it is looked whether the caller of a silent stream may still watch."""


class StreamWriter(Protocol):
    """Server-sent events of one turn, in one API's shape."""

    def encode(self, stored: StoredEvent) -> bytes:
        """What a turn event becomes; empty where that is nothing."""

    def refuse(self, error: UnauthorizedError) -> bytes:
        """What whoever may not watch any more is told last."""


def event_stream(
    events: AsyncGenerator[StoredEvent],
    writer: StreamWriter,
    check: Callable[[], Awaitable[None]],
    last: bytes = b"",
) -> StreamingResponse:
    """The events of a turn as a stream. Whoever leaves does not watch any more.

    `check` is asked before each event and twice a second. When it raises `UnauthorizedError`, that ends the stream.
    What `events` raises breaks the stream off.
    """

    async def body() -> AsyncGenerator[bytes]:
        coming: asyncio.Queue[StoredEvent | None] = asyncio.Queue()
        watching = asyncio.create_task(_put_all(events, coming))
        try:
            await asyncio.sleep(0)  # a task that is cancelled before it starts has never watched, so nobody leaves
            while True:
                await check()
                try:
                    async with asyncio.timeout(CHECK_S):
                        stored = await coming.get()
                except TimeoutError:
                    continue
                if stored is None:
                    await watching
                    break
                if data := writer.encode(stored):
                    yield data
        except UnauthorizedError as error:
            yield writer.refuse(error)
        else:
            if last:
                yield last
        finally:
            watching.cancel()

    return StreamingResponse(body(), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


async def replayed(events: Sequence[StoredEvent]) -> AsyncGenerator[StoredEvent]:
    """The events of a turn that has ended, as if it were watched."""
    for stored in events:
        yield stored


async def begun_turn(live: LiveTurn) -> None:
    """Wait until a turn is stored. Raises what it failed with before it was."""
    async with aclosing(live.events()) as events:
        _raise_failure(await anext(events))


async def finished_turn(live: LiveTurn, request: Request) -> list[StoredEvent]:
    """Every event of a turn that answered. Raises what a turn failed with. A caller who leaves stops watching."""
    events = await until_disconnect(request, _all_events(live))
    _raise_failure(events[-1])
    return events


def compact_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


async def _put_all(events: AsyncGenerator[StoredEvent], coming: asyncio.Queue[StoredEvent | None]) -> None:
    """Every event, and None after the last one, however that came about."""
    try:
        async with aclosing(events):
            async for stored in events:
                coming.put_nowait(stored)
    finally:
        coming.put_nowait(None)


async def _all_events(live: LiveTurn) -> list[StoredEvent]:
    async with aclosing(live.events()) as events:
        return [stored async for stored in events]


def _raise_failure(stored: StoredEvent) -> None:
    if isinstance(stored.event, TurnFailed):
        raise error_from_problem(stored.event.problem)
