"""Reading, editing, reviewing and signing reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from mmedagent.controller.keys import Caller
from mmedagent.controller.reports.draft import draft_of
from mmedagent.controller.reports.editing import edited
from mmedagent.controller.reports.report import (
    Report,
    ReportEdit,
    Section,
    State,
    drafted_report,
    stored_report,
)
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ReportRow
from mmedagent.controller.store.reports import report_of
from mmedagent.controller.stored_turn import StoredTurn
from mmedagent.protocol.errors import ConflictError, PreconditionFailedError

NEXT: dict[str, State] = {"draft": "reviewed", "reviewed": "signed"}
"""The only way: from draft to reviewed to signed. An edit makes a draft of a reviewed report."""


class ReportDesk:
    """The reports of all owners. A report is stored when somebody first changes it; until then it is made anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, owner: str, turn_id: str) -> Report:
        """The stored report, or the draft.

        Raises `NotFoundError`, and `ConflictError` for a response that has no answer.
        """
        turn, row = await self._stored(owner, turn_id)
        return stored_report(row) if row else await asyncio.to_thread(_drafted, turn)

    async def edit(self, owner: str, turn_id: str, revision: int, edit: ReportEdit) -> Report:
        """Replace the text of the revision that the caller has seen.

        Raises `NotFoundError`, `ConflictError` for a signed report, `PreconditionFailedError` for another revision.
        """
        turn, row = await self._stored(owner, turn_id)
        draft = await asyncio.to_thread(_drafted, turn)
        report = stored_report(row) if row else draft
        _require_open(report, revision)
        sections = await asyncio.to_thread(edited, report.sections, draft.sections, edit)

        def change(session: Session) -> Report:
            row = _opened(session, owner, turn_id, report, revision)
            row.sections = _json(sections)
            row.state, row.reviewed_by, row.reviewed_at = "draft", None, None
            return _saved(session, row)

        return await self._database.write(change)

    async def move(self, caller: Caller, turn_id: str, state: State, revision: int | None) -> Report:
        """Take a report to its next state in the name of the caller; of the given revision, if one is given.

        Raises `NotFoundError`, `ConflictError` for another state than the next, `PreconditionFailedError`.
        """
        report = await self.read(caller.owner, turn_id)

        def change(session: Session) -> Report:
            row = _opened(session, caller.owner, turn_id, report, revision)
            if state != NEXT[row.state]:
                raise ConflictError(f"The report is {row.state}; the next state is {NEXT[row.state]}.")
            row.state = state
            if state == "reviewed":
                row.reviewed_by, row.reviewed_at = caller.name, time.time()
            else:
                row.signed_by, row.signed_at = caller.name, time.time()
            return _saved(session, row)

        return await self._database.write(change)

    async def _stored(self, owner: str, turn_id: str) -> tuple[StoredTurn, ReportRow | None]:
        def query(session: Session) -> tuple[StoredTurn, ReportRow | None]:
            return StoredTurn.read(session, owner, turn_id), report_of(session, owner, turn_id)

        turn, row = await self._database.read(query)
        if turn.row.status != "completed":
            raise ConflictError(f"The response is {turn.row.status} and has no answer to report on.")
        return turn, row


def _drafted(turn: StoredTurn) -> Report:
    return drafted_report(turn.row.id, draft_of(turn))


def _require_open(report: Report, revision: int | None) -> None:
    if report.state == "signed":
        raise ConflictError("The report is signed and does not change any more.")
    if revision is not None and revision != report.revision:
        raise PreconditionFailedError("The report was changed meanwhile; read it again before you change it.")


def _opened(session: Session, owner: str, turn_id: str, report: Report, revision: int | None) -> ReportRow:
    """The row of a report that may be changed; a new one, with what the caller read, where nobody has changed it."""
    row = report_of(session, owner, turn_id)
    _require_open(stored_report(row) if row else report, revision)
    return row or ReportRow(turn_id=turn_id, owner=owner, state=report.state, sections=_json(report.sections))


def _json(sections: Sequence[Section]) -> list[Any]:
    return [section.model_dump(mode="json") for section in sections]


def _saved(session: Session, row: ReportRow) -> Report:
    session.add(row)
    session.flush()
    return stored_report(row)
