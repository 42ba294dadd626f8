"""What a turn starts from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mmedagent.protocol.claims import Claim
from mmedagent.protocol.events import TurnEvent
from mmedagent.protocol.invocation import ImageRef, Outcome
from mmedagent.protocol.plan import ChatMessage, Plan
from mmedagent.protocol.types import JsonObject

Emit = Callable[[TurnEvent], None]
FindImage = Callable[[str | ImageRef, int | None], Awaitable[ImageRef]]


@dataclass(frozen=True)
class PastCall:
    """A call of an earlier turn. `parameters` are those it began with, resolved; None for one that never began."""

    outcome: Outcome
    parameters: JsonObject | None


@dataclass(frozen=True)
class TurnInput:
    """A question with its history; the last message is the user's.

    `find_image` resolves the owner's file ids, and gives other slices of an image. `plans` are the first plans of the
    turn when they are made already. `reused` are the calls, by their number in the turn, that are not made again.
    `earlier` are the claims of earlier answers of the branch, the oldest first.
    """

    turn_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    image: ImageRef | None
    planner: str
    find_image: FindImage
    tools: frozenset[str] | None = None
    plans: tuple[Plan, ...] = ()
    reused: Mapping[int, PastCall] = field(default_factory=dict)
    earlier: tuple[Claim, ...] = ()
