"""Questions with their steps, in the shape of the OpenAI responses API."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy.orm import Session

from mmedagent.controller.api.inputs import (
    MAX_MESSAGES,
    Asked,
    InputMessage,
    Messages,
    MessageText,
    ModelName,
    understand,
)
from mmedagent.controller.api.items import Item, items_of
from mmedagent.controller.api.response_stream import ResponseStream
from mmedagent.controller.api.services import Services
from mmedagent.controller.api.streaming import finished_turn, stream_turn
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import TurnRow
from mmedagent.controller.turns import Question
from mmedagent.protocol.errors import InvalidRequestError, NotFoundError
from mmedagent.protocol.events import TurnEvent, TurnFailed, TurnStarted
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import Identifier, ToolName

RESPONSE_PREFIX = "resp_"
MAX_HISTORY = 100
_EVENTS: TypeAdapter[TurnEvent] = TypeAdapter(TurnEvent)


class ConversationParam(BaseModel):
    id: Identifier


class ResponseRequest(BaseModel):
    """The part of OpenAI's request that has a meaning here. `allowed_tools` is an extension: names of tools."""

    model: ModelName | None = None
    input: MessageText | Messages
    conversation: Identifier | ConversationParam | None = None
    previous_response_id: Identifier | None = None
    stream: bool = False
    store: bool = True
    allowed_tools: Annotated[list[ToolName], Field(max_length=64)] | None = None

    def messages(self) -> list[InputMessage]:
        return [InputMessage(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationParam) else self.conversation


def response_routes(services: Services) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["responses"])

    @router.post("/responses", response_model=None)
    async def create_response(
        body: ResponseRequest, request: Request, owner: Annotated[str, Depends(services.owner)]
    ) -> Response:
        """Ask. With `stream` the steps arrive as server-sent events; otherwise the whole response at the end."""
        question = await _question(services, owner, body)
        live = await services.turns.start(question)
        shell = response_object(live.turn_id, live.conversation_id, live.model, "in_progress", [])
        stream = ResponseStream(shell, live.turn_id)
        if body.stream:
            return stream_turn(live, stream.translate, named=True)
        events = await finished_turn(live, request)
        return JSONResponse({**shell, "status": "completed", "output": items_of(live.turn_id, events)})

    @router.get("/responses/{response_id}")
    async def read_response(response_id: Identifier, owner: Annotated[str, Depends(services.owner)]) -> dict[str, Any]:
        """A stored response."""
        turn_id = response_id.removeprefix(RESPONSE_PREFIX)
        turn, events = await services.database.read(lambda session: stored_turn(session, owner, turn_id))
        status = "in_progress" if turn.status == "running" else turn.status
        model = next((event.planner for event in events if isinstance(event, TurnStarted)), "")
        response = response_object(turn.id, turn.conversation_id, model, status, items_of(turn.id, events))
        return {**response, "error": _error_of(events)}

    return router


def response_object(turn_id: str, conversation_id: str, model: str, status: str, output: list[Item]) -> Item:
    return {
        "id": f"{RESPONSE_PREFIX}{turn_id}",
        "object": "response",
        "created_at": time.time(),
        "status": status,
        "model": model,
        "conversation": {"id": conversation_id},
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
    }


def stored_turn(session: Session, owner: str, turn_id: str) -> tuple[TurnRow, list[TurnEvent]]:
    """A turn and its events. Raises `NotFoundError`."""
    turn = repository.turn_of(session, owner, turn_id)
    return turn, [_EVENTS.validate_python(row.body) for row in repository.events_of(session, owner, turn.id)]


def _error_of(events: Sequence[TurnEvent]) -> Item | None:
    problem = next((event.problem for event in events if isinstance(event, TurnFailed)), None)
    return {"code": problem.code, "message": problem.detail} if problem else None


async def _question(services: Services, owner: str, body: ResponseRequest) -> Question:
    asked = await understand(services, owner, body.messages())
    conversation_id = body.conversation_id()
    if conversation_id and body.previous_response_id:
        raise InvalidRequestError("Give a conversation or a previous_response_id, not both.")
    if body.previous_response_id:
        turn_id = body.previous_response_id.removeprefix(RESPONSE_PREFIX)
        turn = await services.database.read(lambda session: repository.turn_of(session, owner, turn_id))
        conversation_id = turn.conversation_id
    if conversation_id:
        asked = await _with_history(services, owner, conversation_id, asked)
    return Question(
        owner=owner,
        messages=asked.messages,
        model=body.model,
        image=asked.image,
        file_id=asked.file_id,
        conversation_id=conversation_id,
        tools=frozenset(body.allowed_tools) if body.allowed_tools is not None else None,
        store=body.store,
        find_image=partial(services.files.image, owner),
    )


async def _with_history(services: Services, owner: str, conversation_id: str, asked: Asked) -> Asked:
    """What was asked, after what was said before, and with the conversation's last image if it has none itself."""

    def earlier_turns(session: Session) -> list[TurnRow]:
        repository.conversation_of(session, owner, conversation_id)
        return list(repository.turns_of(session, owner, conversation_id))

    turns = await services.database.read(earlier_turns)
    history = [
        message
        for turn in turns
        if turn.status == "completed"
        for message in (ChatMessage(role="user", text=turn.question), ChatMessage(role="assistant", text=turn.answer))
    ]
    image: ImageRef | None = asked.image
    file_id = asked.file_id or next((turn.file_id for turn in reversed(turns) if turn.file_id), None)
    if image is None and file_id is not None:
        with suppress(NotFoundError):
            image = await services.files.image(owner, file_id)
    room = min(MAX_HISTORY, MAX_MESSAGES - len(asked.messages))
    return Asked((*history[max(0, len(history) - room) :], *asked.messages), image, file_id)
