"""Reading a reply while it arrives: which of it is thoughts, actions or answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import Action, ActionsReady, ThoughtsDelta, ValueDelta
from mmedagent.protocol.planner_format import MAX_PLAN_CHARACTERS
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.serving.chat.wire import Delta

MAX_THOUGHTS = 8_000
"""Characters of thoughts that are passed on; a reasoning model may think for much longer."""


class ReplyReader(Protocol):
    """Turns the pieces of one reply into the events of a step. Both methods raise `MalformedPlanError`."""

    def feed(self, delta: Delta) -> Iterator[StepEvent]:
        """The events that became certain with the next piece."""

    def finish(self) -> Iterator[StepEvent]:
        """The remaining events, when the reply has ended as it should."""


class StepWriter:
    """The events of one step in their order, with their bounds, also when the reply is asked for again.

    Once `decided`, the actions have been given out, and what follows is the value.
    """

    def __init__(self) -> None:
        self.decided = False
        self._thoughts_left = MAX_THOUGHTS
        self._apart = False
        self._value_left = MAX_TEXT

    def think(self, text: str | None) -> Iterator[StepEvent]:
        """Thoughts, as long as nothing is decided and they are not too long."""
        if not text or self.decided or not self._thoughts_left:
            return
        if self._apart:
            text, self._apart = f"\n\n{text}", False
        given = text[: self._thoughts_left]
        self._thoughts_left -= len(given)
        yield ThoughtsDelta(text=given if given == text else f"{given}…")

    def new_thought(self) -> None:
        """What is thought next is set apart from what has been thought so far."""
        self._apart = self._thoughts_left < MAX_THOUGHTS

    def decide(self, actions: tuple[Action, ...]) -> Iterator[StepEvent]:
        self.decided = True
        yield ActionsReady(actions=actions)

    def tell(self, text: str) -> Iterator[StepEvent]:
        """A piece of the value. Raises `MalformedPlanError` when it becomes too long."""
        self._value_left -= len(text)
        if self._value_left < 0:
            raise MalformedPlanError(f"An answer is at most {MAX_TEXT} characters long.")
        if text:
            yield ValueDelta(text=text)


class Budget:
    """Bounds the characters of one reply."""

    def __init__(self) -> None:
        self._left = MAX_PLAN_CHARACTERS

    def spend(self, text: str) -> str:
        """The text again. Raises `MalformedPlanError` when there has been too much."""
        self._left -= len(text)
        if self._left < 0:
            raise MalformedPlanError(f"A reply is at most {MAX_PLAN_CHARACTERS} characters long.")
        return text
