"""Conversations, in the shape of the OpenAI conversations API, with a list of them and of their turns added."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, Field, StringConstraints
from pydantic_core import to_json
from sqlalchemy.orm import Session

from mmedagent.controller.api.catalogue import Listing
from mmedagent.controller.api.files import Deleted
from mmedagent.controller.api.items import STATUSES, error_of, items_of, lineage, question_item
from mmedagent.controller.api.services import Services
from mmedagent.controller.api.shapes import CallTimes, ConversationItem, Turn
from mmedagent.controller.naming import response_id
from mmedagent.controller.record import RecordedTurn, recorded_turns
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import ConversationRow
from mmedagent.controller.turns import new_conversation, new_conversation_id
from mmedagent.protocol.events import CallEnded, CallStarted
from mmedagent.protocol.types import Identifier, WireType

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]


Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
MAX_QUERY_CHARACTERS = 200


class NewConversation(BaseModel):
    metadata: Metadata | None = None


class ConversationChange(BaseModel):
    """What is left out stays as it is. `title` is an extension."""

    title: Title | None = None
    metadata: Metadata | None = None


class Conversation(WireType):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    title: str
    metadata: dict[str, Any]


def conversation_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

    @router.post("")
    async def create(
        owner: Annotated[str, Depends(services.owner)], body: Annotated[NewConversation | None, Body()] = None
    ) -> Conversation:
        row = new_conversation(owner, new_conversation_id())
        row.details = dict(body.metadata or {}) if body else {}
        await services.database.write(lambda session: session.add(row))
        return _conversation(row)

    @router.get("")
    async def list_all(
        owner: Annotated[str, Depends(services.owner)],
        query: Annotated[str, Query(max_length=MAX_QUERY_CHARACTERS)] = "",
    ) -> Listing[Conversation]:
        """The newest first. With `query` those that have it in their title or in a question."""
        rows = await services.database.read(lambda session: repository.conversations_of(session, owner, query))
        return Listing(object="list", data=[_conversation(row) for row in rows])

    @router.get("/{conversation_id}")
    async def read(conversation_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Conversation:
        row = await services.database.read(lambda session: repository.conversation_of(session, owner, conversation_id))
        return _conversation(row)

    @router.post("/{conversation_id}")
    async def change(
        conversation_id: Identifier, body: ConversationChange, owner: Annotated[str, Depends(services.owner)]
    ) -> Conversation:
        """Give a conversation another title, or other metadata."""
        row = await services.database.write(lambda session: _change(session, owner, conversation_id, body))
        return _conversation(row)

    @router.get("/{conversation_id}/turns", response_model=Listing[Turn])
    async def list_turns(conversation_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Response:
        """The turns of all branches, each with its parent; the oldest first."""
        return _listed(await services.database.read(lambda session: _turns(session, owner, conversation_id)))

    @router.get("/{conversation_id}/items", response_model=Listing[ConversationItem])
    async def list_items(
        conversation_id: Identifier,
        owner: Annotated[str, Depends(services.owner)],
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        """Questions, thoughts, tool calls and answers of the branch with the newest turn.

        The newest first unless `order` is `asc`.
        """
        items = await services.database.read(lambda session: _items(session, owner, conversation_id))
        return _listed(items if order == "asc" else items[::-1])

    @router.delete("/{conversation_id}")
    async def delete(conversation_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Deleted:
        orphans = await services.database.write(
            lambda session: repository.delete_conversation(session, owner, conversation_id)
        )
        await services.files.discard(orphans)
        return Deleted(id=conversation_id, object="conversation.deleted")

    return router


def _listed(rows: Sequence[Turn] | Sequence[ConversationItem]) -> Response:
    """What may be long goes out as it was made, without being checked and copied again."""
    return Response(to_json({"object": "list", "data": rows}), media_type="application/json")


def _conversation(row: ConversationRow) -> Conversation:
    return Conversation(id=row.id, created_at=int(row.created_at), title=row.title, metadata=row.details)


def _change(session: Session, owner: str, conversation_id: str, change: ConversationChange) -> ConversationRow:
    row = repository.conversation_of(session, owner, conversation_id)
    if change.title is not None:
        row.title = change.title
    if change.metadata is not None:
        row.details = dict(change.metadata)
    return row


def _turns(session: Session, owner: str, conversation_id: str) -> list[Turn]:
    repository.conversation_of(session, owner, conversation_id)
    rows = repository.turns_of(session, owner, conversation_id)
    return [_turn(turn) for turn in recorded_turns(session, owner, rows)]


def _turn(turn: RecordedTurn) -> Turn:
    row, events = turn.row, turn.told()
    return {
        "id": response_id(row.id),
        **lineage(row.parent_id, row.rerun_of, turn.started.reused),
        "created_at": row.created_at,
        "status": STATUSES[row.status],
        "question": row.question,
        "file_id": row.file_id,
        "slice": turn.started.image.slice if turn.started.image else None,
        "output": items_of(row.id, events),
        "error": error_of(events),
        "ended_at": None if row.status == "running" else turn.events[-1].at,
        "call_times": _call_times(turn),
    }


def _call_times(turn: RecordedTurn) -> dict[str, CallTimes]:
    times: dict[str, CallTimes] = {}
    for stored in turn.events:
        match stored.event:
            case CallStarted(call_id=call_id):
                times[call_id] = {"started_at": stored.at}
            case CallEnded(outcome=outcome) if outcome.call_id in times:
                times[outcome.call_id]["ended_at"] = stored.at
            case _:
                continue
    return times


def _items(session: Session, owner: str, conversation_id: str) -> list[ConversationItem]:
    repository.conversation_of(session, owner, conversation_id)
    newest = repository.newest_turn_of(session, owner, conversation_id)
    branch = repository.branch_of(session, owner, newest.id) if newest else ()
    items: list[ConversationItem] = []
    for turn in recorded_turns(session, owner, branch):
        items += [question_item(turn.row), *items_of(turn.row.id, turn.told())]
    return items
