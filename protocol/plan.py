"""The planner's output, and what it is asked with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.invocation import ImageRef, Outcome
from mmedagent.protocol.types import Identifier, JsonObject, Sha256, ShortText, Text, WireType

MAX_ACTIONS = 8


class Action(WireType):
    """One tool use. The field names are MMedAgent's; a value may be a reference such as `"$1.boxes"`."""

    API_name: ShortText
    API_params: JsonObject = Field(default_factory=dict)


class Plan(WireType):
    """Thoughts, actions and value. Without actions the value is the answer to the user."""

    thoughts: Text
    actions: tuple[Action, ...] = Field(default=(), max_length=MAX_ACTIONS)
    value: Text


class ChatMessage(WireType):
    """One earlier or present message. Images are given once a request, not a message."""

    role: Literal["system", "user", "assistant"]
    text: Text


class Step(WireType):
    """A plan that was carried out, with one outcome an action, in the same order."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = Field(max_length=MAX_ACTIONS)


class PlannerRequest(WireType):
    """One planner step: the conversation, whose last message is the user's; the tools registered now; the steps so far.

    With no steps the planner decides what to do; with steps it plans again or, without actions, answers. `adapter` is
    one of those on the planner's card, and absent for the planner as it is by default.
    """

    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=200)
    image: ImageRef | None = None
    adapter: ShortText | None = None
    tools: tuple[ToolCard, ...] = Field(default=(), max_length=64)
    steps: tuple[Step, ...] = Field(default=(), max_length=16)
    deadline_s: Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)] = 60.0
    correlation_id: Identifier


class ThoughtsDelta(WireType):
    type: Literal["thoughts"] = "thoughts"
    text: Text


class ActionsReady(WireType):
    """The actions are complete and may start, while the value is still being written."""

    type: Literal["actions"] = "actions"
    actions: tuple[Action, ...] = Field(max_length=MAX_ACTIONS)


class ValueDelta(WireType):
    type: Literal["value"] = "value"
    text: Text


class StepDone(WireType):
    """The last event of a step that worked: the pieces before it are the whole plan. Says who made it."""

    type: Literal["done"] = "done"
    planner: ShortText
    checkpoint_sha256: Sha256 | None = None


class PlannerFailed(WireType):
    """The last event of a step that failed after streaming began."""

    type: Literal["error"] = "error"
    code: Identifier
    message: Text


PlannerEvent = Annotated[
    ThoughtsDelta | ActionsReady | ValueDelta | StepDone | PlannerFailed, Field(discriminator="type")
]


def assemble(events: Iterable[ThoughtsDelta | ActionsReady | ValueDelta | StepDone | PlannerFailed]) -> Plan:
    """The plan that a step's events add up to. Raises `MalformedPlanError` when it is over its bounds."""
    thoughts: list[str] = []
    value: list[str] = []
    actions: tuple[Action, ...] = ()
    for event in events:
        match event:
            case ThoughtsDelta():
                thoughts.append(event.text)
            case ActionsReady():
                actions = event.actions
            case ValueDelta():
                value.append(event.text)
            case _:
                continue
    try:
        return Plan(thoughts="".join(thoughts), actions=actions, value="".join(value))
    except ValidationError as error:
        raise MalformedPlanError("A part of the plan is over its bounds.") from error
