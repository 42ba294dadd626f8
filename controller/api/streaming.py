"""Answering a request with the events of a turn: as a stream, or all at once."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from mmedagent.controller.live import LiveTurn
from mmedagent.protocol.errors import error_from_problem
from mmedagent.protocol.events import StoredEvent, TurnFailed
from mmedagent.serving import sse
from mmedagent.serving.worker import until_disconnect


def event_stream(
    events: AsyncGenerator[StoredEvent], encode: Callable[[StoredEvent], bytes], last: bytes = b""
) -> StreamingResponse:
    """Server-sent events of what `encode` makes of each turn event. Whoever leaves does not watch any more."""

    async def body() -> AsyncGenerator[bytes]:
        async with aclosing(events):
            async for stored in events:
                if data := encode(stored):
                    yield data
        if last:
            yield last

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


async def _all_events(live: LiveTurn) -> list[StoredEvent]:
    async with aclosing(live.events()) as events:
        return [stored async for stored in events]


def _raise_failure(stored: StoredEvent) -> None:
    if isinstance(stored.event, TurnFailed):
        raise error_from_problem(stored.event.problem)
