"""A call as a stream of server-sent events: how far it is, and at the end its result or failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import InvokeEvent, ToolCall, ToolFailure, ToolProgress
from mmedagent.serving import sse
from mmedagent.serving.batching import Ticket
from mmedagent.serving.tool_service import ToolService

LEAST_INTERVAL_S = 0.1
"""News that come faster are dropped but for the newest: they are for people."""


class LatestProgress:
    """The newest progress of a call, told from any thread. What nobody has read when the next one comes is dropped."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._latest: ToolProgress | None = None
        self._news = asyncio.Event()

    def tell(self, progress: ToolProgress) -> None:
        self._loop.call_soon_threadsafe(self._set, progress)

    async def next(self) -> ToolProgress:
        await self._news.wait()
        self._news.clear()
        assert self._latest is not None  # noqa: S101 - set before the event is
        return self._latest

    def _set(self, progress: ToolProgress) -> None:
        self._latest = progress
        self._news.set()


async def invoke_events(service: ToolService, call: ToolCall) -> AsyncIterator[bytes]:
    """Run a call and encode what happens. Closing the stream cancels the call."""
    async for event in _events(service, call):
        yield sse.encode_event(event.model_dump_json(), event.kind)


async def _events(service: ToolService, call: ToolCall) -> AsyncIterator[InvokeEvent]:
    progress = LatestProgress()
    ended = asyncio.create_task(service.invoke(Ticket(call, progress.tell)))
    news = asyncio.create_task(progress.next())
    try:
        while not ended.done():
            await asyncio.wait({ended, news}, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                yield news.result()
                await asyncio.wait({ended}, timeout=LEAST_INTERVAL_S)
                news = asyncio.create_task(progress.next())
        try:
            yield ended.result()
        except MMedAgentError as error:
            retryable = error.retry_after is not None
            yield ToolFailure(
                call_id=call.call_id, tool=call.tool, code=error.code, message=error.detail, retryable=retryable
            )
    finally:
        ended.cancel()
        news.cancel()
