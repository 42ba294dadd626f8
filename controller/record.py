"""What the database holds of turns, as the events that it was told in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from mmedagent.controller.store import repository
from mmedagent.controller.store.models import EventRow, TurnRow
from mmedagent.protocol.errors import CancelledError, UnavailableError
from mmedagent.protocol.events import StoredEvent, TurnCompleted, TurnEvent, TurnFailed, TurnStarted
from mmedagent.serving.logs import correlation_id

LAST_SEQUENCE = 2**31 - 1
"""The place of an end that was never told: after every piece of text that somebody may have been shown."""

SERVER_STOPPED = "The server was stopped before this was answered. Ask again."

_EVENTS: TypeAdapter[TurnEvent] = TypeAdapter(TurnEvent)


@dataclass(frozen=True)
class RecordedTurn:
    """A turn with its events. The first is `TurnStarted`; a turn that does not run any more ends in words."""

    row: TurnRow
    events: tuple[StoredEvent, ...]

    @property
    def started(self) -> TurnStarted:
        first = self.events[0].event
        return first if isinstance(first, TurnStarted) else _beginning(self.row)

    def told(self) -> list[TurnEvent]:
        return [stored.event for stored in self.events]


def recorded_turn(session: Session, owner: str, turn_id: str) -> RecordedTurn:
    """Raises `NotFoundError`."""
    (turn,) = recorded_turns(session, owner, [repository.turn_of(session, owner, turn_id)])
    return turn


def recorded_turns(session: Session, owner: str, rows: Sequence[TurnRow]) -> list[RecordedTurn]:
    """These turns, in this order."""
    events: dict[str, list[StoredEvent]] = {row.id: [] for row in rows}
    for one in repository.events_of_turns(session, owner, list(events)):
        events[one.turn_id].append(_stored(one))
    return [RecordedTurn(row, _whole(row, events[row.id])) for row in rows]


def _stored(row: EventRow) -> StoredEvent:
    return StoredEvent(sequence=row.sequence, at=row.at, event=_EVENTS.validate_python(row.body))


def _whole(row: TurnRow, events: list[StoredEvent]) -> tuple[StoredEvent, ...]:
    """A stopped process leaves a turn without its end, or between the question and the first event."""
    if not events:
        events = [StoredEvent(sequence=1, at=row.created_at, event=_beginning(row))]
    if row.status != "running" and not isinstance(events[-1].event, TurnCompleted | TurnFailed):
        events = [*events, StoredEvent(sequence=LAST_SEQUENCE, at=events[-1].at, event=_end(row))]
    return tuple(events)


def _beginning(row: TurnRow) -> TurnStarted:
    return TurnStarted(
        turn_id=row.id,
        conversation_id=row.conversation_id,
        planner="",
        parent=row.parent_id,
        rerun_of=row.rerun_of,
    )


def _end(row: TurnRow) -> TurnFailed:
    cancelled = row.status == "cancelled"
    error = CancelledError("The turn was cancelled.") if cancelled else UnavailableError(SERVER_STOPPED)
    return TurnFailed(problem=error.problem(correlation_id.get()))
