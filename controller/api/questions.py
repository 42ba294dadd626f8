"""What is asked by a request for a response, with the branch of the conversation that it continues."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field
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
from mmedagent.controller.api.services import Services
from mmedagent.controller.naming import turn_id_of
from mmedagent.controller.record import RecordedTurn, recorded_turn
from mmedagent.controller.rerun import make_rerun
from mmedagent.controller.store import repository
from mmedagent.controller.store.models import TurnRow
from mmedagent.controller.turns import Question
from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import Identifier, JsonObject, ToolName

MAX_HISTORY = 100


class ConversationParam(BaseModel):
    id: Identifier


class ResponseRequest(BaseModel):
    """The part of OpenAI's request that has a meaning here. `allowed_tools` is an extension: names of tools.

    A conversation goes on after its newest response. With `begin_anew`, another extension, the question stands beside
    the first one of the conversation instead: that is how a first message is changed.
    """

    model: ModelName | None = None
    input: MessageText | Messages
    conversation: Identifier | ConversationParam | None = None
    previous_response_id: Identifier | None = None
    stream: bool = False
    background: bool = False
    store: bool = True
    begin_anew: bool = False
    allowed_tools: Annotated[list[ToolName], Field(max_length=64)] | None = None

    def messages(self) -> list[InputMessage]:
        return [InputMessage(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, ConversationParam) else self.conversation


class RerunRequest(BaseModel):
    """One call of a response with all the parameters that it shall have now."""

    call_id: Identifier
    parameters: JsonObject
    stream: bool = False
    background: bool = False


async def question_of(services: Services, owner: str, body: ResponseRequest) -> Question:
    """The question that a request asks.

    Raises `InvalidRequestError`, and `NotFoundError` for a file, conversation or response that the owner has not.
    """
    if body.background and not body.store:
        raise InvalidRequestError("A response in the background is stored; leave store out or make it true.")
    asked = await understand(services, owner, body.messages())
    branch: Sequence[TurnRow] = ()
    conversation_id = body.conversation_id()
    if conversation_id and body.previous_response_id:
        raise InvalidRequestError("Give a conversation or a previous_response_id, not both.")
    if body.previous_response_id:
        branch = await _branch(services, owner, turn_id_of(body.previous_response_id))
        conversation_id = branch[-1].conversation_id
    elif conversation_id:
        newest = await _newest_branch(services, owner, conversation_id)
        branch = () if body.begin_anew else newest
    asked = await _with_history(services, owner, branch, asked)
    return Question(
        owner=owner,
        messages=asked.messages,
        model=body.model,
        image=asked.image,
        file_id=asked.file_id,
        conversation_id=conversation_id,
        parent=branch[-1].id if branch else None,
        tools=frozenset(body.allowed_tools) if body.allowed_tools is not None else None,
        store=body.store,
        background=body.background,
        find_image=partial(services.files.image, owner),
    )


async def rerun_question(services: Services, owner: str, response_id: str, body: RerunRequest) -> Question:
    """The question of a response that was answered, with one call changed.

    Raises `ConflictError` for a response that was not answered, `NotFoundError` for a response, call, tool, planner or
    image that is not there or not any more, `InvalidParametersError`.
    """
    turn = await recorded(services, owner, response_id)
    if turn.row.status != "completed":
        raise ConflictError("Only a response that is completed can be run again in part.")
    tools = turn.started.tools
    cards = services.registry.tools()
    allowed = {name: card for name, card in cards.items() if tools is None or name in tools}
    rerun = make_rerun(turn.told(), body.call_id, body.parameters, allowed)
    file_id = turn.row.file_id
    if file_id:
        await services.files.get(owner, file_id)
    branch = await _branch(services, owner, turn.row.parent_id) if turn.row.parent_id else ()
    asked = Asked((ChatMessage(role="user", text=turn.row.question),), turn.started.image, file_id)
    asked = await _with_history(services, owner, branch, asked)
    return Question(
        owner=owner,
        messages=asked.messages,
        model=turn.started.planner,
        image=asked.image,
        file_id=file_id,
        conversation_id=turn.row.conversation_id,
        parent=turn.row.parent_id,
        rerun_of=turn.row.id,
        plans=rerun.plans,
        reused=rerun.reused,
        tools=None if tools is None else frozenset(tools),
        background=body.background,
        find_image=partial(services.files.image, owner),
    )


async def recorded(services: Services, owner: str, response_id: str) -> RecordedTurn:
    """A stored response. Raises `NotFoundError`."""
    return await services.database.read(lambda session: recorded_turn(session, owner, turn_id_of(response_id)))


async def _branch(services: Services, owner: str, turn_id: str) -> Sequence[TurnRow]:
    def read(session: Session) -> Sequence[TurnRow]:
        repository.turn_of(session, owner, turn_id)
        return repository.branch_of(session, owner, turn_id)

    return await services.database.read(read)


async def _newest_branch(services: Services, owner: str, conversation_id: str) -> Sequence[TurnRow]:
    def read(session: Session) -> Sequence[TurnRow]:
        repository.conversation_of(session, owner, conversation_id)
        newest = repository.newest_turn_of(session, owner, conversation_id)
        return repository.branch_of(session, owner, newest.id) if newest else ()

    return await services.database.read(read)


async def _with_history(services: Services, owner: str, branch: Sequence[TurnRow], asked: Asked) -> Asked:
    """What was asked, after what was said before, and with the branch's last image if it has none itself."""
    history = [
        message
        for turn in branch
        if turn.status == "completed"
        for message in (ChatMessage(role="user", text=turn.question), ChatMessage(role="assistant", text=turn.answer))
    ]
    image, file_id = asked.image, asked.file_id
    shown = None if image else next((turn for turn in reversed(branch) if turn.file_id), None)
    if shown is not None and shown.file_id:
        file_id = shown.file_id
        seen = (await recorded(services, owner, shown.id)).started.image
        with suppress(NotFoundError):
            image = await services.files.image(owner, file_id, seen.slice if seen else None)
    room = min(MAX_HISTORY, MAX_MESSAGES - len(asked.messages))
    return Asked((*history[max(0, len(history) - room) :], *asked.messages), image, file_id)
