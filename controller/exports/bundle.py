"""Everything that is stored about a conversation, gathered for an export."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.exports.drawing import Drawing, drawings_of
from mmedagent.controller.naming import response_id
from mmedagent.controller.reports.report import stored_report
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import Base, EventRow, FileRow, ReportRow
from mmedagent.controller.store.reports import reports_of
from mmedagent.controller.stored_turn import StoredTurn
from mmedagent.protocol.errors import NotFoundError
from mmedagent.protocol.invocation import ToolResult
from mmedagent.serving.blobs import FolderBlobStore

SCHEMA = "mmedagent.conversation"
SCHEMA_VERSION = 1
NOTICE = "For research use only. Not a medical device; nothing in here is a diagnosis."


@dataclass(frozen=True)
class Picture:
    """A stored image: the display frame of a file or of a slice, or something that a tool made.

    `name` is its path in an export with files; `of` the sha256 of the file that it was made from.
    """

    sha256: str
    kind: Literal["frame", "artifact"]
    media_type: str
    name: str
    of: str | None
    path: Path
    bytes: int


@dataclass(frozen=True)
class Overlay:
    """A drawing of the results of a turn."""

    turn_id: str
    name: str
    drawing: Drawing


@dataclass(frozen=True)
class Bundle:
    """A conversation: `document` is its JSON, schema version 1 (docs/reports.md); pictures are on disk."""

    conversation_id: str
    document: dict[str, Any]
    turns: Sequence[StoredTurn]
    pictures: Sequence[Picture]
    overlays: Sequence[Overlay]
    blobs: FolderBlobStore

    @property
    def picture_bytes(self) -> int:
        return sum(picture.bytes for picture in self.pictures)


def bundle_of(session: Session, blobs: FolderBlobStore, owner: str, conversation_id: str) -> Bundle:
    """Raises `NotFoundError`."""
    conversation = repository.conversation_of(session, owner, conversation_id)
    rows = repository.turns_of(session, owner, conversation_id, most=None)
    events: dict[str, list[EventRow]] = {row.id: [] for row in rows}
    for event in repository.events_of_turns(session, owner, list(events)):
        events[event.turn_id].append(event)
    turns = [StoredTurn(row, events[row.id]) for row in rows]
    reports = {row.turn_id: row for row in reports_of(session, owner, conversation_id)}
    results = {turn.row.id: turn.results() for turn in turns}
    file_ids = {turn.row.file_id for turn in turns if turn.row.file_id}
    files = [row for file_id in sorted(file_ids) if (row := _file(session, owner, file_id))]
    pictures = _pictures(session, blobs, owner, files, [one for found in results.values() for one in found])
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "exported_at": time.time(),
        "notice": NOTICE,
        "conversation": _fields(conversation),
        "turns": [_turn(turn, reports.get(turn.row.id)) for turn in turns],
        "files": [_fields(row) for row in files],
        "pictures": [
            {"sha256": one.sha256, "kind": one.kind, "media_type": one.media_type, "path": one.name, "of": one.of}
            for one in pictures
        ],
    }
    there = {picture.sha256 for picture in pictures}
    overlays = [
        Overlay(turn_id, f"overlays/{response_id(turn_id)}-{number}.png", drawing)
        for turn_id, found in results.items()
        for number, drawing in enumerate(drawings_of(found), start=1)
        if drawing.frame_sha256 in there
    ]
    return Bundle(conversation_id, document, turns, pictures, overlays, blobs)


def _turn(turn: StoredTurn, report: ReportRow | None) -> dict[str, Any]:
    """A turn with the ids of responses, its events as they were stored, and its report if there is one."""
    fields = _fields(turn.row)
    return {
        **fields,
        **{name: fields[name] and response_id(fields[name]) for name in ("id", "parent_id", "rerun_of")},
        "claims": [claim.model_dump(mode="json") for claim in turn.claims() or ()],
        "events": [{"sequence": event.sequence, "at": event.at, "event": event.body} for event in turn.events],
        "report": stored_report(report).model_dump(mode="json") if report else None,
    }


def _fields(row: Base) -> dict[str, Any]:
    """Every column of a row but the owner, who is the same for all."""
    return {name: getattr(row, name) for name in sa.inspect(type(row)).columns.keys() if name != "owner"}  # noqa: SIM118


def _pictures(
    session: Session, blobs: FolderBlobStore, owner: str, files: Sequence[FileRow], results: Sequence[ToolResult]
) -> list[Picture]:
    """The frames and the pictures that tools made that are still there, each once; quoted texts are not passed on."""
    frames = dict.fromkeys((row.frame_sha256, row.source_sha256) for row in files)
    made: dict[tuple[str, str], None] = {}
    for one in results:
        source, frame = [*one.provenance.input_sha256, "", ""][:2]
        frames |= {(frame, source): None} if frame else {}
        made |= dict.fromkeys((artifact.sha256, source) for artifact in one.artifacts if artifact.kind != "text")
    pictures = (_picture(session, blobs, owner, key, key in frames) for key in frames | made)
    return [picture for picture in pictures if picture]


def _file(session: Session, owner: str, file_id: str) -> FileRow | None:
    with suppress(NotFoundError):
        return repository.file_of(session, owner, file_id)
    return None


def _picture(
    session: Session, blobs: FolderBlobStore, owner: str, key: tuple[str, str], is_frame: bool
) -> Picture | None:
    """`key` is the sha256 of the picture and of the stored file that it is of."""
    sha256, source = key
    path = blobs.path(sha256)
    try:
        row = repository.artifact_of(session, owner, sha256, source)
        size = path.stat().st_size
    except (NotFoundError, FileNotFoundError):
        return None
    suffix = {"image/png": "png", "text/plain": "txt", "application/json": "json"}.get(row.media_type, "bin")
    name = f"{'frames' if is_frame else 'artifacts'}/{row.sha256}.{suffix}"
    kind: Literal["frame", "artifact"] = "frame" if is_frame else "artifact"
    return Picture(row.sha256, kind, row.media_type, name, row.source_sha256, path, size)
