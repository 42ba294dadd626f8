"""The queries about reports. Each takes the owner and sees nothing of anybody else."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import ReportRow, TurnRow


def report_of(session: Session, owner: str, turn_id: str) -> ReportRow | None:
    return session.scalar(sa.select(ReportRow).where(ReportRow.owner == owner, ReportRow.turn_id == turn_id))


def reports_of(session: Session, owner: str, conversation_id: str) -> Sequence[ReportRow]:
    """The stored reports on the turns of a conversation."""
    rows = sa.select(ReportRow).join(TurnRow, ReportRow.turn_id == TurnRow.id)
    return session.scalars(rows.where(ReportRow.owner == owner, TurnRow.conversation_id == conversation_id)).all()
