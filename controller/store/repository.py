"""Every query there is. Each takes the owner and sees nothing of anybody else."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import ArtifactRow, ConversationRow, EventRow, FileRow, TurnRow
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.errors import NotFoundError

MAX_ROWS = 500
MAX_ANSWERS = 20
"""So many earlier answers of a conversation are what a later one can repeat."""


def file_of(session: Session, owner: str, file_id: str) -> FileRow:
    row = session.scalar(sa.select(FileRow).where(FileRow.owner == owner, FileRow.id == file_id))
    if row is None:
        raise NotFoundError(f"There is no file {file_id}.")
    return row


def files_of(session: Session, owner: str) -> Sequence[FileRow]:
    newest = sa.select(FileRow).where(FileRow.owner == owner).order_by(FileRow.created_at.desc()).limit(MAX_ROWS)
    return session.scalars(newest).all()


def delete_file(session: Session, owner: str, file_id: str) -> list[str]:
    """Delete a file with its frame and everything that tools made from it.

    Returns the blobs that nothing of anybody needs any more. Raises `NotFoundError`.
    """
    row = file_of(session, owner, file_id)
    blobs = {row.source_sha256, row.frame_sha256}
    session.delete(row)
    session.flush()
    again = sa.select(FileRow.id).where(FileRow.owner == owner, FileRow.source_sha256 == row.source_sha256)
    if session.scalar(again.limit(1)) is None:
        made = sa.delete(ArtifactRow).where(ArtifactRow.owner == owner, ArtifactRow.source_sha256 == row.source_sha256)
        blobs.update(session.scalars(made.returning(ArtifactRow.sha256)))
    return [sha256 for sha256 in sorted(blobs) if not _used(session, sha256)]


def _used(session: Session, sha256: str) -> bool:
    files = sa.select(FileRow.id).where(sa.or_(FileRow.source_sha256 == sha256, FileRow.frame_sha256 == sha256))
    artifacts = sa.select(ArtifactRow.sha256).where(ArtifactRow.sha256 == sha256)
    return any(session.scalar(rows.limit(1)) is not None for rows in (files, artifacts))


def keep_artifacts(session: Session, rows: Sequence[ArtifactRow]) -> None:
    for row in rows:
        session.merge(row)


def artifact_of(session: Session, owner: str, sha256: str) -> ArtifactRow:
    row = session.get(ArtifactRow, (owner, sha256))
    if row is None:
        raise NotFoundError("There is no such artifact.")
    return row


def conversation_of(session: Session, owner: str, conversation_id: str) -> ConversationRow:
    row = session.scalar(
        sa.select(ConversationRow).where(ConversationRow.owner == owner, ConversationRow.id == conversation_id)
    )
    if row is None:
        raise NotFoundError(f"There is no conversation {conversation_id}.")
    return row


def conversations_of(session: Session, owner: str) -> Sequence[ConversationRow]:
    rows = sa.select(ConversationRow).where(ConversationRow.owner == owner)
    return session.scalars(rows.order_by(ConversationRow.created_at.desc()).limit(MAX_ROWS)).all()


def delete_conversation(session: Session, owner: str, conversation_id: str) -> bool:
    gone = sa.delete(ConversationRow).where(ConversationRow.owner == owner, ConversationRow.id == conversation_id)
    return session.scalar(gone.returning(ConversationRow.id)) is not None


def turn_of(session: Session, owner: str, turn_id: str) -> TurnRow:
    row = session.scalar(sa.select(TurnRow).where(TurnRow.owner == owner, TurnRow.id == turn_id))
    if row is None:
        raise NotFoundError(f"There is no turn {turn_id}.")
    return row


def turns_of(session: Session, owner: str, conversation_id: str) -> Sequence[TurnRow]:
    """The turns of a conversation, oldest first."""
    rows = sa.select(TurnRow).where(TurnRow.owner == owner, TurnRow.conversation_id == conversation_id)
    return session.scalars(rows.order_by(TurnRow.created_at).limit(MAX_ROWS)).all()


def events_of(session: Session, owner: str, turn_id: str) -> Sequence[EventRow]:
    """The events of a turn, in their order."""
    rows = sa.select(EventRow).join(TurnRow).where(TurnRow.owner == owner, EventRow.turn_id == turn_id)
    return session.scalars(rows.order_by(EventRow.sequence)).all()


def claims_of(session: Session, owner: str, conversation_id: str) -> tuple[Claim, ...]:
    """The claims of the last answers of a conversation, the oldest first."""
    completed = EventRow.body["type"].as_string() == "turn.completed"
    rows = sa.select(EventRow.body).join(TurnRow).where(TurnRow.owner == owner, completed)
    rows = rows.where(TurnRow.conversation_id == conversation_id).order_by(TurnRow.created_at.desc())
    bodies = session.scalars(rows.limit(MAX_ANSWERS)).all()
    return tuple(Claim.model_validate(one) for body in reversed(bodies) for one in body.get("claims", ()))


def close_interrupted_turns(session: Session) -> int:
    """Mark the turns that a stopped controller left running. Returns how many there were."""
    closed = sa.update(TurnRow).where(TurnRow.status == "running").values(status="failed").returning(TurnRow.id)
    return len(session.scalars(closed).all())
