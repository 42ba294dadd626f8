"""What a turn starts from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mmedagent.protocol.claims import Claim
from mmedagent.protocol.events import TurnEvent
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage

Emit = Callable[[TurnEvent], None]


@dataclass(frozen=True)
class TurnInput:
    """A question with its history; the last message is the user's. `find_image` resolves the owner's file ids.

    `earlier` are the claims of earlier answers of the conversation, the oldest first.
    """

    turn_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    image: ImageRef | None
    planner: str
    find_image: Callable[[str], Awaitable[ImageRef]]
    tools: frozenset[str] | None = None
    earlier: tuple[Claim, ...] = ()
