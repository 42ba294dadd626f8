"""Streams of events whose source breaks, or whose caller may not watch from the start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from fastapi.responses import StreamingResponse

from mmedagent.controller.api.chat import ChatStream
from mmedagent.controller.api.streaming import event_stream
from mmedagent.controller.live import LiveTurn
from mmedagent.protocol.errors import UnauthorizedError
from mmedagent.protocol.events import AnswerWritten, StoredEvent, TurnFailed, TurnStarted
from support.tools import PATIENCE_S

LAST = b"data: [DONE]\n\n"
STARTED = TurnStarted(turn_id="t", conversation_id="c", planner="p")


async def allow() -> None:
    """The check of a caller who may watch."""


async def refuse() -> None:
    raise UnauthorizedError("The key was revoked.")


async def work_for_ever() -> None:
    await asyncio.Event().wait()


async def read(response: StreamingResponse, seen: list[bytes]) -> None:
    async for data in response.body_iterator:
        assert isinstance(data, bytes)
        seen.append(data)


async def test_a_stream_whose_source_breaks_does_not_end_well() -> None:
    async def broken() -> AsyncGenerator[StoredEvent]:
        yield StoredEvent(sequence=1, at=time.time(), event=AnswerWritten(text="Half an "))
        raise ConnectionError("the source broke")

    seen = list[bytes]()
    with pytest.raises(ConnectionError, match="the source broke"):
        await read(event_stream(broken(), ChatStream("t", "p"), allow, last=LAST), seen)
    assert seen, "what came before it broke is shown"
    assert LAST not in seen


async def test_a_turn_of_a_key_that_was_revoked_before_its_first_event_is_cancelled() -> None:
    live = LiveTurn("owner", STARTED, lambda _: None)
    live.start(work_for_ever())
    seen = list[bytes]()
    await read(event_stream(live.events(), ChatStream("t", "p"), refuse, last=LAST), seen)
    (only,) = seen
    assert b"unauthorized" in only
    async with asyncio.timeout(PATIENCE_S):
        await live.ended()
    *_, last = [stored async for stored in live.events()]
    assert isinstance(last.event, TurnFailed)
    assert last.event.problem.code == "cancelled"
