"""Starting turns, keeping what happens in them, and reading them back."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from mmedagent.controller.agent import Agent
from mmedagent.controller.live import LiveTurn
from mmedagent.controller.record import SERVER_STOPPED
from mmedagent.controller.registry import PLANNER_PREFIX
from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, ConversationRow, EventRow, TurnRow
from mmedagent.controller.turn import FindImage, PastCall, TurnInput
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.errors import CancelledError, MMedAgentError, UnavailableError
from mmedagent.protocol.events import CallEnded, StoredEvent, TurnCompleted, TurnFailed, TurnStarted
from mmedagent.protocol.invocation import ImageRef, ToolResult
from mmedagent.protocol.plan import ChatMessage, Plan

log = logging.getLogger(__name__)

TITLE_CHARACTERS = 80
LINGER_S = 30.0
"""How long a turn that ended is kept in memory, for those who come back for the rest of its text."""


@dataclass(frozen=True)
class Question:
    """What a user asks, with the conversation so far. A question that is not to be stored leaves no rows behind.

    `parent` is the turn that it follows. A turn that runs a call of the turn `rerun_of` again has `plans` that are made
    already and `reused` calls, by their number, that are not made again. In the `background` it needs no caller.
    """

    owner: str
    messages: tuple[ChatMessage, ...]
    model: str | None = None
    image: ImageRef | None = None
    file_id: str | None = None
    conversation_id: str | None = None
    tools: frozenset[str] | None = None
    store: bool = True
    background: bool = False
    parent: str | None = None
    rerun_of: str | None = None
    plans: tuple[Plan, ...] = ()
    reused: Mapping[int, PastCall] = field(default_factory=dict)
    find_image: FindImage = field(repr=False, kw_only=True)


class Turns:
    """Runs turns as tasks beside the requests that watch them."""

    def __init__(self, agent: Agent, database: Database) -> None:
        self._agent = agent
        self._database = database
        self._live: dict[str, LiveTurn] = {}

    def live(self, owner: str, turn_id: str) -> LiveTurn | None:
        """A stored turn of the owner's that runs or has just ended. All that is known of others is in the database."""
        live = self._live.get(turn_id)
        return live if live and live.owner == owner else None

    async def close(self) -> None:
        """Stop the stored turns that still run, and store that they were."""
        running = list(self._live.values())
        for live in running:
            live.cancel(UnavailableError(SERVER_STOPPED))
        for live in running:
            await live.ended()

    async def start(self, question: Question) -> LiveTurn:
        """Begin. The question is stored before anything is shown.

        Raises `UnavailableError` without a planner, `NotFoundError` for a model that none of them is.
        """
        planner = self._agent.registry.planner_name(question.model)
        earlier = await self._earlier(question)
        started = TurnStarted(
            turn_id=uuid.uuid4().hex[:24],
            conversation_id=question.conversation_id or new_conversation_id(),
            planner=planner.removeprefix(PLANNER_PREFIX),
            parent=question.parent,
            rerun_of=question.rerun_of,
            reused=tuple(call.outcome.call_id for call in question.reused.values()),
            image=question.image,
            tools=None if question.tools is None else tuple(sorted(question.tools)),
        )
        turn = TurnInput(
            turn_id=started.turn_id,
            conversation_id=started.conversation_id,
            messages=question.messages,
            image=question.image,
            planner=planner,
            find_image=question.find_image,
            tools=question.tools,
            plans=question.plans,
            reused=question.reused,
            earlier=earlier,
        )
        live = LiveTurn(question.owner, started, lambda event: self._keep(question, turn, event), question.background)
        if question.store:
            self._database.post(lambda session: _open_turn(session, question, started, live.created_at))
        stored = live.start(self._run(turn, live))
        if question.store:
            self._live[turn.turn_id] = live
            stored.add_done_callback(lambda _: self._forget_later(turn.turn_id))
        return live

    def _forget_later(self, turn_id: str) -> None:
        asyncio.get_running_loop().call_later(LINGER_S, self._live.pop, turn_id, None)

    async def _earlier(self, question: Question) -> tuple[Claim, ...]:
        parent = question.parent
        if parent is None:
            return ()
        return await self._database.read(lambda session: repository.claims_of(session, question.owner, parent))

    async def _run(self, turn: TurnInput, live: LiveTurn) -> None:
        started, outcome = time.perf_counter(), "completed"
        try:
            await self._agent.run(turn, live.emit)
        except asyncio.CancelledError:
            outcome = CancelledError.code
            raise
        except MMedAgentError as error:
            outcome = error.code
            raise
        finally:
            seconds = round(time.perf_counter() - started, 4)
            log.info("turn", extra={"turn_id": turn.turn_id, "outcome": outcome, "seconds": seconds})

    def _keep(self, question: Question, turn: TurnInput, stored: StoredEvent) -> asyncio.Future[None] | None:
        event = stored.event
        outcome = event.outcome if isinstance(event, CallEnded) else None
        conversation_id = turn.conversation_id if question.store else None
        made = (
            ArtifactRow.of_result(question.owner, outcome, conversation_id) if isinstance(outcome, ToolResult) else []
        )
        if not question.store and not made:
            return None
        return self._database.post(lambda session: _keep_event(session, question, turn.turn_id, stored, made))


def new_conversation_id() -> str:
    return f"conv_{uuid.uuid4().hex[:24]}"


def new_conversation(owner: str, conversation_id: str, title: str = "") -> ConversationRow:
    return ConversationRow(id=conversation_id, owner=owner, created_at=time.time(), title=title, details={})


def _open_turn(session: Session, question: Question, started: TurnStarted, at: float) -> None:
    text = question.messages[-1].text
    title = " ".join(text.split())[:TITLE_CHARACTERS]
    if question.conversation_id is None:
        session.add(new_conversation(question.owner, started.conversation_id, title))
        session.flush()
    else:
        conversation = repository.conversation_of(session, question.owner, started.conversation_id)
        conversation.title = conversation.title or title
    session.add(
        TurnRow(
            id=started.turn_id,
            owner=question.owner,
            conversation_id=started.conversation_id,
            created_at=at,
            status="running",
            question=text,
            file_id=question.file_id,
            answer="",
            parent_id=question.parent,
            rerun_of=question.rerun_of,
        )
    )


def _close_turn(session: Session, turn_id: str, status: str, answer: str) -> None:
    session.execute(sa.update(TurnRow).where(TurnRow.id == turn_id).values(status=status, answer=answer))


def _keep_event(
    session: Session, question: Question, turn_id: str, stored: StoredEvent, made: Sequence[ArtifactRow]
) -> None:
    repository.keep_artifacts(session, made)
    if not question.store:
        return
    body = stored.event.model_dump(mode="json")
    session.execute(sa.insert(EventRow).values(turn_id=turn_id, sequence=stored.sequence, at=stored.at, body=body))
    match stored.event:
        case TurnCompleted(answer=answer):
            _close_turn(session, turn_id, "completed", answer)
        case TurnFailed(problem=problem):
            _close_turn(session, turn_id, "cancelled" if problem.code == CancelledError.code else "failed", "")
        case _:
            return
