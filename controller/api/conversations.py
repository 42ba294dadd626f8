"""Conversations, in the shape of the OpenAI conversations API, with a list of them added."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.orm import Session

from mmedagent.controller.api.catalogue import Listing
from mmedagent.controller.api.files import Deleted
from mmedagent.controller.api.items import Item, items_of, question_item
from mmedagent.controller.api.responses import stored_turn
from mmedagent.controller.api.services import Services
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import ConversationRow
from mmedagent.controller.turns import new_conversation, new_conversation_id
from mmedagent.protocol.errors import NotFoundError
from mmedagent.protocol.types import Identifier

MetadataKey = Annotated[str, StringConstraints(max_length=64)]
MetadataValue = Annotated[str, StringConstraints(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]


class NewConversation(BaseModel):
    metadata: Metadata | None = None


class Conversation(BaseModel):
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
    async def list_all(owner: Annotated[str, Depends(services.owner)]) -> Listing:
        """The newest first."""
        rows = await services.database.read(lambda session: repository.conversations_of(session, owner))
        return Listing(data=[_conversation(row) for row in rows])

    @router.get("/{conversation_id}")
    async def read(conversation_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Conversation:
        row = await services.database.read(lambda session: repository.conversation_of(session, owner, conversation_id))
        return _conversation(row)

    @router.get("/{conversation_id}/items")
    async def list_items(
        conversation_id: Identifier,
        owner: Annotated[str, Depends(services.owner)],
        order: Literal["asc", "desc"] = "desc",
    ) -> Listing:
        """Questions, thoughts, tool calls and answers; the newest first unless `order` is `asc`."""
        items = await services.database.read(lambda session: _items(session, owner, conversation_id))
        return Listing(data=items if order == "asc" else items[::-1])

    @router.delete("/{conversation_id}")
    async def delete(conversation_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> Deleted:
        gone = await services.database.write(
            lambda session: repository.delete_conversation(session, owner, conversation_id)
        )
        if not gone:
            raise NotFoundError(f"There is no conversation {conversation_id}.")
        return Deleted(id=conversation_id, object="conversation.deleted")

    return router


def _conversation(row: ConversationRow) -> Conversation:
    return Conversation(id=row.id, created_at=int(row.created_at), title=row.title, metadata=row.details)


def _items(session: Session, owner: str, conversation_id: str) -> list[Item]:
    repository.conversation_of(session, owner, conversation_id)
    items: list[Item] = []
    for row in repository.turns_of(session, owner, conversation_id):
        turn, events = stored_turn(session, owner, row.id)
        items += [question_item(turn), *items_of(turn.id, events)]
    return items
