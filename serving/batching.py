"""Calls of one tool gathered into runs: whoever comes while the tool is busy goes into the next run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mmedagent.protocol.errors import CancelledError, DeadlineError, MMedAgentError
from mmedagent.protocol.invocation import Provenance, ToolCall, ToolProgress, ToolResult
from mmedagent.serving.tool import Batching
from mmedagent.serving.work import CancelToken, WorkPool

Outcome = ToolResult | MMedAgentError
LONGEST_RUN_S = 3_600.0
"""The longest deadline of a call. Each call keeps its own; the run as a whole ends with the last of them."""


def _ignore(_: ToolProgress) -> None:
    return


@dataclass(eq=False)
class Ticket:
    """A call that somebody waits for. `parts` are the provenances of the calls that were made on its behalf."""

    call: ToolCall
    on_progress: Callable[[ToolProgress], None] = _ignore
    parts: list[Provenance] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.token = CancelToken(self.call.deadline_s)


class Batch:
    """The tickets of one run. It takes more until its run begins; from then on it is closed."""

    def __init__(self, max_size: int) -> None:
        self.tickets: list[Ticket] = []
        self.state: Literal["waiting", "running", "ended"] = "waiting"
        self._max_size = max_size
        self._closed = False
        self._changed = threading.Condition()

    def add(self, ticket: Ticket) -> bool:
        """Whether there was a place left."""
        with self._changed:
            if self._closed or len(self.tickets) >= self._max_size:
                return False
            self.tickets.append(ticket)
            self._changed.notify()
            return True

    def begin(self, expected: int, max_wait_s: float) -> list[Ticket]:
        """Wait in a thread until so many tickets are there, at most so long, and close."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.tickets) >= min(expected, self._max_size), max_wait_s)
            self._closed, self.state = True, "running"
            return self.tickets

    def close(self) -> None:
        """Take no more. A run that has not begun will not be waited for."""
        with self._changed:
            self._closed = True
            if self.state == "waiting":
                self.state = "ended"

    @property
    def deserted(self) -> bool:
        """Whether all have gone. Whose deadline is over still has to hear of it."""
        return all(ticket.token.cancelled for ticket in self.tickets)


class Batcher:
    """Runs the calls of a tool in a pool, each run with as many as have gathered.

    Everybody gets an outcome of their own and keeps their own deadline. Who leaves does so alone; a run is cancelled
    when all its callers have left. An error that `work` raises is that of every call in the run.
    """

    def __init__(
        self, pool: WorkPool, batching: Batching, work: Callable[[Sequence[Ticket]], Sequence[Outcome]]
    ) -> None:
        self._pool = pool
        self._batching = batching
        self._work = work
        self._expected = 1
        self._open: tuple[Batch, asyncio.Task[dict[Ticket, Outcome]]] | None = None
        self._batches: list[Batch] = []

    @property
    def in_flight(self) -> int:
        """Calls in runs that have begun and whose thread has not ended."""
        return sum(len(batch.tickets) for batch in self._batches if batch.state == "running")

    @property
    def queued(self) -> int:
        """Calls that wait for their run to begin."""
        waiting = [batch.tickets for batch in self._batches if batch.state == "waiting"]
        return sum(not ticket.token.ended for tickets in waiting for ticket in tickets)

    async def submit(self, ticket: Ticket) -> ToolResult:
        """The result of a call. Raises `OverloadedError`, `DeadlineError`, and what the work reports."""
        batch, task = self._join(ticket)
        try:
            async with asyncio.timeout(ticket.token.remaining_s):
                outcome = (await asyncio.shield(task)).get(ticket)
            ticket.token.raise_if_cancelled()
        except TimeoutError as error:
            where = " while waiting in the queue" if batch.state == "waiting" else ""
            raise DeadlineError(f"The deadline passed{where}.") from error
        finally:
            ticket.token.cancel()
            if batch.deserted:
                batch.close()
                task.cancel()
        if not isinstance(outcome, ToolResult):
            raise outcome or CancelledError("The call was left out of its run.")
        return outcome

    def _join(self, ticket: Ticket) -> tuple[Batch, asyncio.Task[dict[Ticket, Outcome]]]:
        if self._open and self._open[0].add(ticket):
            return self._open
        batch = Batch(self._batching.max_size)
        batch.add(ticket)
        self._batches = [*(one for one in self._batches if one.state != "ended"), batch]
        self._open = batch, asyncio.create_task(self._run(batch))
        return self._open

    async def _run(self, batch: Batch) -> dict[Ticket, Outcome]:
        try:
            return await self._pool.run(lambda _: self._outcomes(batch), LONGEST_RUN_S)
        finally:
            batch.close()

    def _outcomes(self, batch: Batch) -> dict[Ticket, Outcome]:
        """Run those who still wait; without those who leave meanwhile, if the tool gives up because of one of them."""
        tickets = batch.begin(self._expected, self._batching.max_wait_s)
        self._expected = len(tickets)
        try:
            while waiting := [ticket for ticket in tickets if not ticket.token.ended]:
                try:
                    return dict(zip(waiting, self._work(waiting), strict=True))
                except (CancelledError, DeadlineError):
                    if not any(ticket.token.ended for ticket in waiting):
                        raise
            return {}
        finally:
            batch.state = "ended"
