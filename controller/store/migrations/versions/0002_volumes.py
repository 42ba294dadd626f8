"""The facts of all frames of a file, and a row for each artifact and file with the slice that it belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SHARED = "owner, sha256, media_type, created_at"


def upgrade() -> None:
    op.add_column("files", sa.Column("facts", sa.JSON))
    op.create_table(
        "artifacts_by_file",
        *_columns(),
        sa.Column("source_sha256", sa.String(64), primary_key=True),
        sa.Column("frame_sha256", sa.String(64)),
        sa.Column("slice", sa.Integer),
    )
    op.execute(
        f"INSERT INTO artifacts_by_file ({SHARED}, source_sha256) "  # noqa: S608 - constants
        f"SELECT {SHARED}, COALESCE(source_sha256, '') FROM artifacts"
    )
    _replace("artifacts_by_file")


def downgrade() -> None:
    op.create_table("artifacts_alone", *_columns(), sa.Column("source_sha256", sa.String(64)))
    op.execute(
        f"INSERT INTO artifacts_alone ({SHARED}, source_sha256) "  # noqa: S608 - constants
        "SELECT owner, sha256, MIN(media_type), MIN(created_at), NULLIF(MIN(source_sha256), '') "
        "FROM artifacts GROUP BY owner, sha256"
    )
    _replace("artifacts_alone")
    op.drop_column("files", "facts")


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    ]


def _replace(table: str) -> None:
    op.drop_table("artifacts")
    op.rename_table(table, "artifacts")
    op.create_index("ix_artifacts_source_sha256", "artifacts", ["source_sha256"])
