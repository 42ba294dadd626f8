"""Answering a request from a running turn: as a stream, or all at once, and cancelled when the caller leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from mmedagent.controller.live import LiveTurn
from mmedagent.protocol.errors import error_from_problem
from mmedagent.protocol.events import TurnEvent, TurnFailed
from mmedagent.serving import sse
from mmedagent.serving.worker import until_disconnect


def stream_turn(
    live: LiveTurn, translate: Callable[[TurnEvent], Iterable[dict[str, Any]]], named: bool, last: str | None = None
) -> StreamingResponse:
    """Server-sent events of what `translate` makes of each turn event; `named` adds the type as event name."""

    async def body() -> AsyncIterator[bytes]:
        async for stored in live.events():
            data = [
                sse.encode_event(json.dumps(one, separators=(",", ":")), one["type"] if named else None)
                for one in translate(stored.event)
            ]
            if data:
                yield b"".join(data)
        if last:
            yield sse.encode_event(last)

    return StreamingResponse(body(), media_type=sse.MEDIA_TYPE, headers=sse.HEADERS)


async def finished_turn(live: LiveTurn, request: Request) -> list[TurnEvent]:
    """Every event of a turn that answered. Raises what a turn failed with, and cancels it when the caller leaves."""
    events = await until_disconnect(request, _all_events(live))
    if isinstance(events[-1], TurnFailed):
        raise error_from_problem(events[-1].problem)
    return events


async def _all_events(live: LiveTurn) -> list[TurnEvent]:
    return [stored.event async for stored in live.events()]
