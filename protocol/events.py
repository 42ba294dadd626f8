"""What happens during a turn, in order. Events are streamed to whoever watches; all but passing news are stored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmedagent.protocol.errors import Problem
from mmedagent.protocol.invocation import ImageRef, Outcome, ToolProgress
from mmedagent.protocol.plan import Plan
from mmedagent.protocol.types import Identifier, JsonObject, ShortText, Text, ToolName, WireType


class TurnStarted(WireType):
    """The question is stored. `parent` is the turn that this one follows, and absent for the first of a conversation.

    A turn that runs a call of another one again names that turn in `rerun_of`, and the calls that it takes over from it
    in `reused`. `image` is what the question is about. `tools` are those that the planner may use; absent, it may use
    all.
    """

    type: Literal["turn.started"] = "turn.started"
    turn_id: Identifier
    conversation_id: Identifier
    planner: ShortText
    parent: Identifier | None = None
    rerun_of: Identifier | None = None
    reused: tuple[Identifier, ...] = Field(default=(), max_length=128)
    image: ImageRef | None = None
    tools: tuple[ToolName, ...] | None = Field(default=None, max_length=64)


class ThoughtsWritten(WireType):
    """A piece of the thoughts of plan number `step` (from 1)."""

    type: Literal["thoughts.delta"] = "thoughts.delta"
    step: int = Field(ge=1)
    text: Text


class PlanMade(WireType):
    """A plan with actions is complete."""

    type: Literal["plan.completed"] = "plan.completed"
    step: int = Field(ge=1)
    plan: Plan


class CallStarted(WireType):
    """An action began; its parameters are resolved and checked. `number` counts from 1 over the turn.

    `reused`, here and where it ended, says that it is taken over from another turn and did not run again.
    """

    type: Literal["call.started"] = "call.started"
    number: int = Field(ge=1)
    call_id: Identifier
    tool: ToolName
    parameters: JsonObject
    reused: bool = False


class CallProgressed(WireType):
    """An action told how far it is, 0 to 1, and what it is doing. Passing news: shown to who watches, never stored."""

    type: Literal["call.progress"] = "call.progress"
    number: int = Field(ge=1)
    call_id: Identifier
    progress: ToolProgress


class CallEnded(WireType):
    """An action ended, in a result, a failure or a skip."""

    type: Literal["call.ended"] = "call.ended"
    number: int = Field(ge=1)
    outcome: Outcome
    reused: bool = False


class AnswerWritten(WireType):
    type: Literal["answer.delta"] = "answer.delta"
    text: Text


class TurnCompleted(WireType):
    type: Literal["turn.completed"] = "turn.completed"
    thoughts: Text
    answer: Text


class TurnFailed(WireType):
    type: Literal["turn.failed"] = "turn.failed"
    problem: Problem


TurnEvent = Annotated[
    TurnStarted
    | ThoughtsWritten
    | PlanMade
    | CallStarted
    | CallProgressed
    | CallEnded
    | AnswerWritten
    | TurnCompleted
    | TurnFailed,
    Field(discriminator="type"),
]


class StoredEvent(WireType):
    """An event with its place in the turn. `at` is in seconds since the Unix epoch."""

    sequence: int = Field(ge=1)
    at: float
    event: TurnEvent
