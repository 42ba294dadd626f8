"""The queries about API keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.store.models import ApiKeyRow
from mmedagent.protocol.errors import ConflictError, NotFoundError


def add_key(session: Session, row: ApiKeyRow) -> None:
    """Raises `ConflictError` for a name that another valid key has."""
    same = sa.select(ApiKeyRow.id).where(ApiKeyRow.name == row.name, ApiKeyRow.revoked_at.is_(None))
    if session.scalar(same) is not None:
        raise ConflictError(f"There is a key named {row.name}; revoke it first, or choose another name.")
    session.add(row)


def all_keys(session: Session) -> Sequence[ApiKeyRow]:
    """Every key, revoked ones too, oldest first."""
    return session.scalars(sa.select(ApiKeyRow).order_by(ApiKeyRow.created_at)).all()


def revoke_key(session: Session, key_id: str, now: float) -> ApiKeyRow:
    """Nobody comes in with this key any more. Raises `NotFoundError`."""
    row = _key(session, key_id)
    row.revoked_at = row.revoked_at or now
    return row


def delete_key(session: Session, key_id: str) -> ApiKeyRow:
    """Revoke a key and forget that there was one. Raises `NotFoundError`."""
    row = _key(session, key_id)
    session.delete(row)
    return row


def mark_used(session: Session, key_id: str, now: float) -> None:
    session.execute(sa.update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(last_used_at=now))


def has_valid_key(url: str) -> bool:
    """Whether a database has a key that is not revoked. Makes no database where there is none. Blocks."""
    location = sa.make_url(url)
    if location.get_backend_name() == "sqlite" and not Path(location.database or "").is_file():
        return False
    engine = sa.create_engine(location)
    try:
        if not sa.inspect(engine).has_table(ApiKeyRow.__tablename__):
            return False
        with Session(engine) as session:
            valid = sa.select(ApiKeyRow.id).where(ApiKeyRow.revoked_at.is_(None)).limit(1)
            return session.scalar(valid) is not None
    finally:
        engine.dispose()


def _key(session: Session, key_id: str) -> ApiKeyRow:
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        raise NotFoundError(f"There is no key {key_id[:64]}; see mmedagent keys list.")
    return row
