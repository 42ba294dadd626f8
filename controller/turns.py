"""Starting turns, keeping what happens in them, and reading them back."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from mmedagent.controller.agent import Agent
from mmedagent.controller.live import LiveTurn
from mmedagent.controller.registry import PLANNER_PREFIX
from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, ConversationRow, EventRow, TurnRow
from mmedagent.controller.turn import TurnInput
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.errors import CancelledError, MMedAgentError
from mmedagent.protocol.events import CallEnded, StoredEvent, TurnCompleted, TurnFailed, TurnStarted
from mmedagent.protocol.invocation import ImageRef, ToolResult
from mmedagent.protocol.plan import ChatMessage
from mmedagent.serving.logs import correlation_id

log = logging.getLogger(__name__)

TITLE_CHARACTERS = 80


@dataclass(frozen=True)
class Question:
    """What a user asks, with the conversation so far. A question that is not to be stored leaves no rows behind."""

    owner: str
    messages: tuple[ChatMessage, ...]
    model: str | None = None
    image: ImageRef | None = None
    file_id: str | None = None
    conversation_id: str | None = None
    tools: frozenset[str] | None = None
    store: bool = True
    find_image: Callable[[str], Awaitable[ImageRef]] = field(repr=False, kw_only=True)


class Turns:
    """Runs turns as tasks beside the requests that watch them."""

    def __init__(self, agent: Agent, database: Database) -> None:
        self._agent = agent
        self._database = database

    async def start(self, question: Question) -> LiveTurn:
        """Begin. The question is stored before anything is shown.

        Raises `UnavailableError` without a planner, `NotFoundError` for a model that none of them is.
        """
        planner = self._agent.registry.planner_name(question.model)
        earlier = await self._earlier(question)
        turn_id = uuid.uuid4().hex[:24]
        conversation_id = question.conversation_id or new_conversation_id()
        model = planner.removeprefix(PLANNER_PREFIX)
        live = LiveTurn(turn_id, conversation_id, model, lambda event: self._keep(question, turn_id, event))
        if question.store:
            self._database.post(lambda session: _open_turn(session, question, turn_id, conversation_id))
        turn = TurnInput(
            turn_id=turn_id,
            conversation_id=conversation_id,
            messages=question.messages,
            image=question.image,
            planner=planner,
            find_image=question.find_image,
            tools=question.tools,
            earlier=earlier,
        )
        live.emit(
            TurnStarted(turn_id=turn_id, conversation_id=conversation_id, planner=planner.removeprefix(PLANNER_PREFIX))
        )
        live.start(asyncio.create_task(self._run(turn, live, question)))
        return live

    async def _earlier(self, question: Question) -> tuple[Claim, ...]:
        conversation_id = question.conversation_id
        if conversation_id is None:
            return ()
        return await self._database.read(lambda session: repository.claims_of(session, question.owner, conversation_id))

    async def _run(self, turn: TurnInput, live: LiveTurn, question: Question) -> None:
        started, outcome = time.perf_counter(), "completed"
        try:
            await self._agent.run(turn, live.emit)
        except asyncio.CancelledError:
            outcome = CancelledError.code
            if question.store:
                self._database.post(lambda session: _close_turn(session, turn.turn_id, "cancelled", ""))
            raise
        except MMedAgentError as error:
            outcome = error.code
            live.emit(TurnFailed(problem=error.problem(correlation_id.get())))
        finally:
            seconds = round(time.perf_counter() - started, 4)
            log.info("turn", extra={"turn_id": turn.turn_id, "outcome": outcome, "seconds": seconds})

    def _keep(self, question: Question, turn_id: str, stored: StoredEvent) -> asyncio.Future[None] | None:
        event = stored.event
        outcome = event.outcome if isinstance(event, CallEnded) else None
        made = ArtifactRow.of_result(question.owner, outcome) if isinstance(outcome, ToolResult) else []
        if not question.store and not made:
            return None
        return self._database.post(lambda session: _keep_event(session, question, turn_id, stored, made))


def new_conversation_id() -> str:
    return f"conv_{uuid.uuid4().hex[:24]}"


def new_conversation(owner: str, conversation_id: str, title: str = "") -> ConversationRow:
    return ConversationRow(id=conversation_id, owner=owner, created_at=time.time(), title=title, details={})


def _open_turn(session: Session, question: Question, turn_id: str, conversation_id: str) -> None:
    text = question.messages[-1].text
    title = " ".join(text.split())[:TITLE_CHARACTERS]
    if question.conversation_id is None:
        session.add(new_conversation(question.owner, conversation_id, title))
        session.flush()
    else:
        conversation = repository.conversation_of(session, question.owner, conversation_id)
        conversation.title = conversation.title or title
    session.add(
        TurnRow(
            id=turn_id,
            owner=question.owner,
            conversation_id=conversation_id,
            created_at=time.time(),
            status="running",
            question=text,
            file_id=question.file_id,
            answer="",
        )
    )


def _close_turn(session: Session, turn_id: str, status: str, answer: str) -> None:
    turn = session.get(TurnRow, turn_id)
    if turn is not None:
        turn.status, turn.answer = status, answer


def _keep_event(
    session: Session, question: Question, turn_id: str, stored: StoredEvent, made: Sequence[ArtifactRow]
) -> None:
    repository.keep_artifacts(session, made)
    if not question.store:
        return
    body = stored.event.model_dump(mode="json")
    session.add(EventRow(turn_id=turn_id, sequence=stored.sequence, at=stored.at, body=body))
    match stored.event:
        case TurnCompleted(answer=answer):
            _close_turn(session, turn_id, "completed", answer)
        case TurnFailed():
            _close_turn(session, turn_id, "failed", "")
        case _:
            return
