"""What a turn starts from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mmedagent.protocol.events import TurnEvent
from mmedagent.protocol.invocation import ImageRef, Outcome
from mmedagent.protocol.plan import ChatMessage, Plan
from mmedagent.protocol.types import JsonObject

Emit = Callable[[TurnEvent], None]


@dataclass(frozen=True)
class PastCall:
    """A call of an earlier turn. `parameters` are those it began with, resolved; None for one that never began."""

    outcome: Outcome
    parameters: JsonObject | None


@dataclass(frozen=True)
class TurnInput:
    """A question with its history; the last message is the user's. `find_image` resolves the owner's file ids.

    `plans` are the first plans of the turn when they are made already. `reused` are the calls, by their number in the
    turn, that are not made again.
    """

    turn_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    image: ImageRef | None
    planner: str
    find_image: Callable[[str], Awaitable[ImageRef]]
    tools: frozenset[str] | None = None
    plans: tuple[Plan, ...] = ()
    reused: Mapping[int, PastCall] = field(default_factory=dict)
