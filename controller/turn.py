"""What a turn starts from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mmedagent.protocol.events import TurnEvent
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage

Emit = Callable[[TurnEvent], None]
FindImage = Callable[[str | ImageRef, int | None], Awaitable[ImageRef]]


@dataclass(frozen=True)
class TurnInput:
    """A question with its history; the last message is the user's.

    `find_image` resolves the owner's file ids, and gives other slices of an image.
    """

    turn_id: str
    conversation_id: str
    messages: tuple[ChatMessage, ...]
    image: ImageRef | None
    planner: str
    find_image: FindImage
    tools: frozenset[str] | None = None
