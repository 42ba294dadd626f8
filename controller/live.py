"""A turn while it runs: its events reach everybody who watches in order, each stored before it is shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from mmedagent.protocol.errors import CancelledError, MMedAgentError, ServiceError
from mmedagent.protocol.events import (
    AnswerWritten,
    CallProgressed,
    StoredEvent,
    ThoughtsWritten,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.serving.logs import correlation_id

log = logging.getLogger(__name__)

DELTA_INTERVAL_S = 0.04
BROKEN = "Something went wrong on the server; the correlation id names the log line."
Delta = ThoughtsWritten | AnswerWritten
Keep = Callable[[StoredEvent], "asyncio.Future[None] | None"]


class LiveTurn:
    """Collects events with `emit` and keeps them for everybody who watches with `events`.

    `keep` stores an event and returns a future that is done when it is on disk. Pieces of text are not stored, since
    the whole text follows, nor is how far a call is; pieces that come faster than every 40 ms are joined, which keeps
    streams small. All events are numbered, those that are not stored, too, so that a number means the same event to
    whoever watches, then or later.

    A turn that is not in the background is cancelled when the last who watched has left.
    """

    def __init__(self, owner: str, started: TurnStarted, keep: Keep, background: bool = False) -> None:
        self.owner = owner
        self.started = started
        self.created_at = time.time()
        self._keep = keep
        self._background = background
        self._watchers = 0
        self._log: list[StoredEvent] = []
        self._more = asyncio.Event()
        self._emitted: asyncio.Queue[TurnEvent] = asyncio.Queue()
        self._held: TurnEvent | None = None
        self._delta_at = asyncio.get_running_loop().time()
        self._why_cancelled: MMedAgentError = CancelledError("The turn was cancelled.")
        self.emit(started)

    def emit(self, event: TurnEvent) -> None:
        self._emitted.put_nowait(event)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin the work that emits the events. The task that is returned is done when the last one is stored."""
        self._work = asyncio.create_task(work)
        self._work.add_done_callback(self._worked)
        self._telling = asyncio.create_task(self._tell())
        self._telling.add_done_callback(self._told)
        return self._telling

    def cancel(self, why: MMedAgentError | None = None) -> None:
        """Stop the turn, down to the workers. Does nothing to a turn whose work is done."""
        if not self._work.done():
            self._why_cancelled = why or self._why_cancelled
            self._work.cancel()

    async def ended(self) -> None:
        """Wait until the turn has ended and that is stored."""
        await asyncio.wait([self._telling])

    async def events(self) -> AsyncGenerator[StoredEvent]:
        """The events from the first one up to the one that ends the turn. Nobody waits for a slow reader."""
        self._watchers += 1
        seen = 0
        try:
            while True:
                while seen < len(self._log):
                    seen += 1
                    yield self._log[seen - 1]
                if self._is_over():
                    return
                await self._more.wait()
        finally:
            self._watchers -= 1
            if not self._watchers and not self._background:
                self.cancel(CancelledError("The caller left."))

    def _is_over(self) -> bool:
        return bool(self._log) and isinstance(self._log[-1].event, TurnCompleted | TurnFailed)

    def _worked(self, work: asyncio.Task[None]) -> None:
        """However the work ended, the turn ends for those who watch."""
        error = self._why_cancelled if work.cancelled() else work.exception()
        if error is None:
            return
        if not isinstance(error, MMedAgentError):
            log.error("turn broke", exc_info=error, extra={"turn_id": self.started.turn_id})
            error = MMedAgentError(BROKEN)
        self.emit(TurnFailed(problem=error.problem(correlation_id.get())))

    def _told(self, telling: asyncio.Task[None]) -> None:
        """Nobody waits for ever on a turn of which the next event could not be told."""
        if telling.cancelled() or (error := telling.exception()) is None:
            return
        log.error("turn could not be told", exc_info=error, extra={"turn_id": self.started.turn_id})
        event = TurnFailed(problem=MMedAgentError(BROKEN).problem(correlation_id.get()))
        self._log.append(StoredEvent(sequence=len(self._log) + 1, at=time.time(), event=event))
        self._more.set()

    async def _tell(self) -> None:
        while not self._is_over():
            event = await self._next()
            self._log.append(await self._stored(event))
            self._more.set()
            self._more = asyncio.Event()

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
        at = time.time() if self._log else self.created_at
        stored = StoredEvent(sequence=len(self._log) + 1, at=at, event=event)
        if isinstance(event, Delta):
            self._delta_at = asyncio.get_running_loop().time()
        if isinstance(event, Delta | CallProgressed):
            return stored
        try:
            if (kept := self._keep(stored)) is not None:
                await kept
        except (SQLAlchemyError, MMedAgentError):
            problem = ServiceError("The turn could not be stored.").problem(correlation_id.get())
            stored = stored.model_copy(update={"event": TurnFailed(problem=problem)})
            self._keep(stored)
            self.cancel()
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
