"""The queries about what users have. Each takes the owner and sees nothing of anybody else."""

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


def owners_of(session: Session, source_sha256: str) -> Sequence[str]:
    """Everybody who uploaded this very picture."""
    rows = sa.select(FileRow.owner).where(FileRow.source_sha256 == source_sha256).distinct()
    return session.scalars(rows).all()


def file_with_source(session: Session, owner: str, source_sha256: str) -> FileRow:
    """A file of which that is the stored source."""
    rows = sa.select(FileRow).where(FileRow.owner == owner, FileRow.source_sha256 == source_sha256)
    row = session.scalars(rows.limit(1)).first()
    if row is None:
        raise NotFoundError("The file of this image has been deleted.")
    return row


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


def artifact_of(session: Session, owner: str, sha256: str, source_sha256: str | None = None) -> ArtifactRow:
    """An artifact, of this very file where its source is given: another file may have an equal one."""
    rows = sa.select(ArtifactRow).where(ArtifactRow.owner == owner, ArtifactRow.sha256 == sha256)
    if source_sha256 is not None:
        rows = rows.where(ArtifactRow.source_sha256 == source_sha256)
    row = session.scalars(rows.limit(1)).first()
    if row is None:
        raise NotFoundError("There is no such artifact.")
    return row


def slice_of_artifact(session: Session, owner: str, source_sha256: str, sha256: str) -> int | None:
    """The slice of a file that an artifact of it was made from, where that is known. Raises `NotFoundError`."""
    row = session.get(ArtifactRow, (owner, sha256, source_sha256))
    if row is None:
        raise NotFoundError("There is no such artifact of this file.")
    frame = session.get(ArtifactRow, (owner, row.frame_sha256 or sha256, source_sha256))
    return frame.slice if frame else None


def conversation_of(session: Session, owner: str, conversation_id: str) -> ConversationRow:
    row = session.scalar(
        sa.select(ConversationRow).where(ConversationRow.owner == owner, ConversationRow.id == conversation_id)
    )
    if row is None:
        raise NotFoundError(f"There is no conversation {conversation_id}.")
    return row


def conversations_of(session: Session, owner: str, query: str = "") -> Sequence[ConversationRow]:
    """The newest first; with a query those that have it in their title or in a question."""
    rows = sa.select(ConversationRow).where(ConversationRow.owner == owner)
    if query:
        asked = sa.select(TurnRow.conversation_id).where(
            TurnRow.owner == owner, TurnRow.question.icontains(query, autoescape=True)
        )
        titled = ConversationRow.title.icontains(query, autoescape=True)
        rows = rows.where(sa.or_(titled, ConversationRow.id.in_(asked)))
    return session.scalars(rows.order_by(ConversationRow.created_at.desc()).limit(MAX_ROWS)).all()


def delete_conversation(session: Session, owner: str, conversation_id: str) -> list[str]:
    """Delete a conversation with the texts that it quotes.

    Returns the blobs that nothing of anybody needs any more. Raises `NotFoundError`.
    """
    session.delete(conversation_of(session, owner, conversation_id))
    session.flush()
    quoted = sa.delete(ArtifactRow).where(ArtifactRow.owner == owner, ArtifactRow.source_sha256 == conversation_id)
    blobs = session.scalars(quoted.returning(ArtifactRow.sha256)).all()
    return [sha256 for sha256 in sorted(blobs) if not _used(session, sha256)]


def turn_of(session: Session, owner: str, turn_id: str) -> TurnRow:
    row = session.scalar(sa.select(TurnRow).where(TurnRow.owner == owner, TurnRow.id == turn_id))
    if row is None:
        raise NotFoundError(f"There is no turn {turn_id}.")
    return row


def turns_of(session: Session, owner: str, conversation_id: str, most: int | None = MAX_ROWS) -> Sequence[TurnRow]:
    """The newest turns of a conversation, of all branches; the oldest of them first. None of `most` is all of them."""
    rows = sa.select(TurnRow).where(TurnRow.owner == owner, TurnRow.conversation_id == conversation_id)
    return session.scalars(rows.order_by(TurnRow.created_at.desc()).limit(most)).all()[::-1]


def newest_turn_of(session: Session, owner: str, conversation_id: str) -> TurnRow | None:
    rows = sa.select(TurnRow).where(TurnRow.owner == owner, TurnRow.conversation_id == conversation_id)
    return session.scalar(rows.order_by(TurnRow.created_at.desc()).limit(1))


def branch_of(session: Session, owner: str, turn_id: str) -> Sequence[TurnRow]:
    """The turns from the first of a conversation to this one, each the parent of the next; of a long branch the end."""
    last = sa.select(TurnRow.id, TurnRow.parent_id, sa.literal(0).label("back"))
    branch = last.where(TurnRow.owner == owner, TurnRow.id == turn_id).cte(recursive=True)
    earlier = sa.select(TurnRow.id, TurnRow.parent_id, branch.c.back + 1).join(branch, TurnRow.id == branch.c.parent_id)
    branch = branch.union_all(earlier.where(TurnRow.owner == owner, branch.c.back < MAX_ROWS - 1))
    rows = sa.select(TurnRow).join(branch, TurnRow.id == branch.c.id)
    return session.scalars(rows.order_by(branch.c.back.desc())).all()


def events_of(session: Session, owner: str, turn_id: str) -> Sequence[EventRow]:
    """The events of a turn, in their order."""
    return events_of_turns(session, owner, [turn_id])


def events_of_turns(session: Session, owner: str, turn_ids: Sequence[str]) -> Sequence[EventRow]:
    """The events of several turns, those of each in their order."""
    rows = sa.select(EventRow).join(TurnRow).where(TurnRow.owner == owner, EventRow.turn_id.in_(turn_ids))
    return session.scalars(rows.order_by(EventRow.turn_id, EventRow.sequence)).all()


def claims_of(session: Session, owner: str, turn_id: str) -> tuple[Claim, ...]:
    """The claims of the last answers of the branch that ends in this turn, the oldest first."""
    turns = [turn.id for turn in branch_of(session, owner, turn_id) if turn.status == "completed"][-MAX_ANSWERS:]
    completed = EventRow.body["type"].as_string() == "turn.completed"
    rows = sa.select(EventRow.body).join(TurnRow).where(TurnRow.owner == owner, EventRow.turn_id.in_(turns), completed)
    bodies = session.scalars(rows.order_by(TurnRow.created_at)).all()
    return tuple(Claim.model_validate(one) for body in bodies for one in body.get("claims", ()))


def close_interrupted_turns(session: Session) -> int:
    """Mark the turns that a stopped controller left running. Returns how many there were."""
    closed = sa.update(TurnRow).where(TurnRow.status == "running").values(status="failed").returning(TurnRow.id)
    return len(session.scalars(closed).all())
