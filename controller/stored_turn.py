"""A turn as it was stored, read for what its tools found and what its answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from mmedagent.controller.store import repository
from mmedagent.controller.store.models import EventRow, TurnRow
from mmedagent.protocol.claims import Claims
from mmedagent.protocol.events import CallEnded, TurnCompleted
from mmedagent.protocol.invocation import ToolResult

_ENDED = CallEnded.model_fields["type"].default
_COMPLETED = TurnCompleted.model_fields["type"].default
_CLAIMS: TypeAdapter[Claims] = TypeAdapter(Claims)


@dataclass(frozen=True)
class StoredTurn:
    """The row of a turn with its events in order, each as the JSON that was stored."""

    row: TurnRow
    events: Sequence[EventRow]

    @classmethod
    def read(cls, session: Session, owner: str, turn_id: str) -> StoredTurn:
        """Raises `NotFoundError`."""
        row = repository.turn_of(session, owner, turn_id)
        return cls(row, repository.events_of(session, owner, row.id))

    def results(self) -> list[ToolResult]:
        """What the calls of the turn gave, in the order in which they ended."""
        outcomes = [body["outcome"] for body in self._bodies(_ENDED)]
        return [ToolResult.model_validate(one) for one in outcomes if one["kind"] == "result"]

    def claims(self) -> Claims | None:
        """What the answer claims, by place in its text; None for a turn from before claims were made."""
        stored = next((body.get("claims") for body in self._bodies(_COMPLETED)), None)
        return None if stored is None else _CLAIMS.validate_python(stored)

    def _bodies(self, kind: str) -> Iterator[dict[str, Any]]:
        return (event.body for event in self.events if event.body["type"] == kind)
