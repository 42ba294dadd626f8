"""Turns follow one another as a tree. Those that are there already follow one another in their order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("turns", sa.Column("parent_id", sa.String(64)))
    op.add_column("turns", sa.Column("rerun_of", sa.String(64)))
    turns = sa.table("turns", *(sa.column(name) for name in ("id", "conversation_id", "created_at", "parent_id")))
    before = turns.alias("before")
    previous = (
        sa.select(before.c.id)
        .where(before.c.conversation_id == turns.c.conversation_id, before.c.created_at < turns.c.created_at)
        .order_by(before.c.created_at.desc())
        .limit(1)
    )
    op.execute(sa.update(turns).values(parent_id=previous.correlate(turns).scalar_subquery()))


def downgrade() -> None:
    op.drop_column("turns", "rerun_of")
    op.drop_column("turns", "parent_id")
