"""A turn while it runs: its events reach whoever watches in order, each stored before it is shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from sqlalchemy.exc import SQLAlchemyError

from mmedagent.protocol.errors import MMedAgentError, ServiceError
from mmedagent.protocol.events import (
    AnswerWritten,
    CallProgressed,
    StoredEvent,
    ThoughtsWritten,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
)
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.serving.logs import correlation_id

log = logging.getLogger(__name__)

DELTA_INTERVAL_S = 0.04
Delta = ThoughtsWritten | AnswerWritten
Keep = Callable[[StoredEvent], "asyncio.Future[None] | None"]


class LiveTurn:
    """Collects events with `emit` and hands them on through `events`.

    `keep` stores an event and returns a future that is done when it is on disk. Pieces of text are not stored, since
    the whole text follows, nor is how far a call is; pieces that come faster than every 40 ms are joined, which keeps
    streams small.
    """

    def __init__(self, turn_id: str, conversation_id: str, model: str, keep: Keep) -> None:
        self.turn_id = turn_id
        self.conversation_id = conversation_id
        self.model = model
        self._keep = keep
        self._sequence = 0
        self._emitted: asyncio.Queue[TurnEvent] = asyncio.Queue()
        self._held: TurnEvent | None = None
        self._delta_at = asyncio.get_running_loop().time()
        self._task: asyncio.Task[None] | None = None

    def emit(self, event: TurnEvent) -> None:
        self._emitted.put_nowait(event)

    def start(self, task: asyncio.Task[None]) -> None:
        self._task = task
        task.add_done_callback(self._ended)

    async def cancel(self) -> None:
        """Stop the turn, down to the workers. Does nothing to a turn that has ended."""
        if self._task and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def events(self) -> AsyncIterator[StoredEvent]:
        """The events up to the one that ends the turn."""
        try:
            while True:
                event = await self._next()
                stored = await self._stored(event)
                yield stored
                if isinstance(stored.event, TurnCompleted | TurnFailed):
                    return
        finally:
            await self.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A turn that ended in a way nobody foresaw still ends for those who watch."""
        if not task.cancelled() and (error := task.exception()):
            log.error("turn broke", exc_info=error, extra={"turn_id": self.turn_id})
            broken = MMedAgentError("Something went wrong on the server; the correlation id names the log line.")
            self.emit(TurnFailed(problem=broken.problem(correlation_id.get())))

    async def _next(self) -> TurnEvent:
        """The next event, with pieces of text that come fast joined into one."""
        event = self._held or await self._emitted.get()
        self._held = None
        while isinstance(event, Delta):
            try:
                async with asyncio.timeout_at(self._delta_at + DELTA_INTERVAL_S):
                    following = await self._emitted.get()
            except TimeoutError:
                return event
            joined = _join(event, following)
            if joined is None:
                self._held = following
                return event
            event = joined
        return event

    async def _stored(self, event: TurnEvent) -> StoredEvent:
        self._sequence += 1
        stored = StoredEvent(sequence=self._sequence, at=time.time(), event=event)
        if isinstance(event, Delta):
            self._delta_at = asyncio.get_running_loop().time()
        if isinstance(event, Delta | CallProgressed):
            return stored
        try:
            if (kept := self._keep(stored)) is not None:
                await kept
        except (SQLAlchemyError, MMedAgentError):
            problem = ServiceError("The turn could not be stored.").problem(correlation_id.get())
            return stored.model_copy(update={"event": TurnFailed(problem=problem)})
        return stored


def _join(first: Delta, second: TurnEvent) -> Delta | None:
    match first, second:
        case ThoughtsWritten(), ThoughtsWritten(step=step, text=text) if step == first.step and _fits(first, text):
            return ThoughtsWritten(step=step, text=first.text + text)
        case AnswerWritten(), AnswerWritten(text=text) if _fits(first, text):
            return AnswerWritten(text=first.text + text)
        case _:
            return None


def _fits(first: Delta, text: str) -> bool:
    return len(first.text) + len(text) <= MAX_TEXT
