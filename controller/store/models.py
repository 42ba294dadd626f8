"""The tables. Every row that a user can reach carries its owner."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mmedagent.protocol.invocation import ToolResult


class Base(DeclarativeBase):
    """Times are seconds since the Unix epoch, UTC."""


class FileRow(Base):
    """An uploaded image: the stored, de-identified source and the display frame made from it."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    filename: Mapped[str] = mapped_column(String(100))
    media_type: Mapped[str] = mapped_column(String(100))
    bytes: Mapped[int] = mapped_column(Integer)
    source_sha256: Mapped[str] = mapped_column(String(64), index=True)
    frame_sha256: Mapped[str] = mapped_column(String(64), index=True)
    image: Mapped[dict[str, Any]] = mapped_column(JSON)
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class ArtifactRow(Base):
    """A blob that its owner may read: a display frame, a mask, an overlay, a text that a passage was taken from.

    `source_sha256` is the stored file that it shows or was made from, with which it is deleted; of a text it is the
    conversation that quotes it. Slices of two files may look the same: then the blob has a row for each file. A frame
    has its `slice`, what a tool made has the `frame_sha256` of the frame that it was made from.
    """

    __tablename__ = "artifacts"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[float] = mapped_column(Float)
    source_sha256: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    frame_sha256: Mapped[str | None] = mapped_column(String(64))
    slice: Mapped[int | None] = mapped_column(Integer)

    @classmethod
    def of(
        cls,
        owner: str,
        sha256: str,
        media_type: str,
        source_sha256: str | None,
        *,
        frame_sha256: str | None = None,
        slice_index: int | None = None,
    ) -> ArtifactRow:
        return cls(
            owner=owner,
            sha256=sha256,
            media_type=media_type,
            created_at=time.time(),
            source_sha256=source_sha256 or "",
            frame_sha256=frame_sha256,
            slice=slice_index,
        )

    @classmethod
    def of_result(cls, owner: str, result: ToolResult, conversation_id: str | None = None) -> list[ArtifactRow]:
        """What a tool made, from the image that it names among its inputs: first the stored file, then the frame.

        A text that was quoted belongs to the conversation, and is not kept without one.
        """
        source, frame = [*result.provenance.input_sha256, None, None][:2]
        made = [one for one in result.artifacts if one.kind != "text"]
        quoted = [one for one in result.artifacts if one.kind == "text" and conversation_id is not None]
        return [
            *(cls.of(owner, one.sha256, one.media_type, source, frame_sha256=frame) for one in made),
            *(cls.of(owner, one.sha256, one.media_type, conversation_id) for one in quoted),
        ]


class ConversationRow(Base):
    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    title: Mapped[str] = mapped_column(String(200), default="")
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class TurnRow(Base):
    """One question and what came of it. `status` is running, completed, failed or cancelled.

    `parent_id` is the turn that it follows, so that the turns of a conversation are a tree. `rerun_of` is the turn of
    which it runs a call again.
    """

    __tablename__ = "turns"
    __table_args__ = (Index("ix_turns_conversation", "conversation_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    created_at: Mapped[float] = mapped_column(Float)
    status: Mapped[str] = mapped_column(String(16))
    question: Mapped[str] = mapped_column(Text)
    file_id: Mapped[str | None] = mapped_column(String(64))
    answer: Mapped[str] = mapped_column(Text, default="")
    parent_id: Mapped[str | None] = mapped_column(String(64))
    rerun_of: Mapped[str | None] = mapped_column(String(64))


class ApiKeyRow(Base):
    """What is kept of an API key: never the key itself. `prefix` is its beginning, for people to tell keys apart."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[str] = mapped_column(String(64))
    prefix: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[float] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    revoked_at: Mapped[float | None] = mapped_column(Float)


class ReportRow(Base):
    """The report on a turn, from the first edit or review on. `state` is draft, reviewed or signed.

    `revision` counts the changes from 1; a change of another revision than was read fails.
    """

    __tablename__ = "reports"

    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int] = mapped_column(Integer)
    sections: Mapped[list[Any]] = mapped_column(JSON)
    reviewed_by: Mapped[str | None] = mapped_column(String(64))
    reviewed_at: Mapped[float | None] = mapped_column(Float)
    signed_by: Mapped[str | None] = mapped_column(String(64))
    signed_at: Mapped[float | None] = mapped_column(Float)

    __mapper_args__ = {"version_id_col": revision}  # noqa: RUF012 - SQLAlchemy's way


class EventRow(Base):
    """One event of a turn, as plain JSON."""

    __tablename__ = "turn_events"

    turn_id: Mapped[str] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[float] = mapped_column(Float)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
