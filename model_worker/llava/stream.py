"""Reads a plan from its text while the text is still being written."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from pydantic import ValidationError

from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import Action, ActionsReady, Plan, ThoughtsDelta, ValueDelta
from mmedagent.protocol.planner_format import ACTIONS, MAX_PLAN_CHARACTERS, THOUGHTS, VALUE, parse_plan


class _Part(Enum):
    OPENING = auto()
    THOUGHTS = auto()
    ACTIONS = auto()
    CLOSING = auto()
    VALUE = auto()


class PlanSplitter:
    """A state machine that turns pieces of a plan's text into the events of a step.

    Whatever the pieces, the events of a whole text add up to the plan that `parse_plan` reads from it, and both methods
    raise `MalformedPlanError` for text that is no plan, as soon as that is certain. Nothing is repaired.
    """

    def __init__(self) -> None:
        self._part = _Part.OPENING
        self._buffer = ""
        self._length = 0
        self._scan = _ArrayScan()
        self._thoughts = ""
        self._actions: tuple[Action, ...] = ()
        self._actions_text = ""
        self._value = ""

    @property
    def answering(self) -> bool:
        """Whether a piece of the value has been given out."""
        return bool(self._value)

    @property
    def accepted(self) -> str:
        """The text of the events given out so far, from which a second reply can go on; empty before any."""
        if self._part in (_Part.CLOSING, _Part.VALUE):
            return f"{THOUGHTS} {self._thoughts}\n{ACTIONS} {self._actions_text}\n{VALUE}"
        return f"{THOUGHTS} {self._thoughts}\n{ACTIONS}" if self._thoughts else ""

    def feed(self, text: str) -> list[StepEvent]:
        """The events that became certain with the next piece of text."""
        self._length += len(text)
        if self._length > MAX_PLAN_CHARACTERS:
            raise MalformedPlanError(f"A plan is at most {MAX_PLAN_CHARACTERS} characters long.")
        self._buffer += text
        events: list[StepEvent] = []
        try:
            while self._advance(events):
                continue
        except ValidationError as error:
            raise MalformedPlanError("A part of the plan is over its bounds.") from error
        return events

    def finish(self) -> Plan:
        """The whole plan, when the text has ended."""
        if self._part is not _Part.VALUE:
            raise MalformedPlanError("The plan ends before its value.")
        try:
            return Plan(thoughts=self._thoughts, actions=self._actions, value=self._value)
        except ValidationError as error:
            raise MalformedPlanError("The value of the plan is over its bounds.") from error

    def _advance(self, events: list[StepEvent]) -> bool:
        """Read as much of the buffer as belongs to the present part. Whether the next part has begun."""
        match self._part:
            case _Part.OPENING:
                return self._skip_marker(THOUGHTS, _Part.THOUGHTS, "A plan begins with its thoughts.")
            case _Part.THOUGHTS:
                return self._read_thoughts(events)
            case _Part.ACTIONS:
                return self._read_actions(events)
            case _Part.CLOSING:
                return self._skip_marker(VALUE, _Part.VALUE, "A plan has its value right after its actions.")
            case _Part.VALUE:
                self._value += self._give(events, ValueDelta, self._value, len(self._buffer))
                return False

    def _skip_marker(self, marker: str, following: _Part, complaint: str) -> bool:
        self._buffer = self._buffer.lstrip()
        if self._buffer.startswith(marker):
            self._buffer = self._buffer.removeprefix(marker)
            self._part = following
            return True
        if not marker.startswith(self._buffer):
            raise MalformedPlanError(complaint)
        return False

    def _read_thoughts(self, events: list[StepEvent]) -> bool:
        end = self._buffer.find(ACTIONS)
        if end < 0:
            certain = len(self._buffer) - _overlap(self._buffer, ACTIONS)
            self._thoughts += self._give(events, ThoughtsDelta, self._thoughts, certain)
            return False
        self._thoughts += self._give(events, ThoughtsDelta, self._thoughts, end)
        self._buffer = self._buffer.lstrip().removeprefix(ACTIONS)
        self._part = _Part.ACTIONS
        return True

    def _read_actions(self, events: list[StepEvent]) -> bool:
        self._buffer = self._buffer.lstrip()
        if not self._buffer:
            return False
        if not self._buffer.startswith("["):
            raise MalformedPlanError("The actions are not a list.")
        end = self._scan.end(self._buffer)
        if end is None:
            return False
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        self._actions = parse_plan(f"{THOUGHTS}\n{ACTIONS} {text}\n{VALUE}").actions
        Plan(thoughts=self._thoughts, actions=self._actions, value="")
        self._actions_text = text
        self._part = _Part.CLOSING
        events.append(ActionsReady(actions=self._actions))
        return True

    def _give(
        self,
        events: list[StepEvent],
        event: Callable[..., ThoughtsDelta | ValueDelta],
        before: str,
        certain: int,
    ) -> str:
        """Give out the first `certain` characters of the buffer, without the white space around the whole part."""
        ready = self._buffer[:certain] if before else self._buffer[:certain].lstrip()
        given = ready.rstrip()
        self._buffer = ready[len(given) :] + self._buffer[certain:]
        if given:
            events.append(event(text=given))
        return given


class _ArrayScan:
    """Finds where a JSON array ends, reading each character once, however the text arrives."""

    def __init__(self) -> None:
        self._place = self._depth = 0
        self._in_string = self._escaped = False

    def end(self, text: str) -> int | None:
        """The length of the array at the start of `text`, which only ever grows; None while it is open."""
        while self._place < len(text):
            character = text[self._place]
            self._place += 1
            if self._in_string:
                self._read_in_string(character)
            elif character == '"':
                self._in_string = True
            elif character in "[{":
                self._depth += 1
            elif character in "]}":
                self._depth -= 1
                if not self._depth:
                    return self._place
        return None

    def _read_in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._in_string = False


def _overlap(text: str, marker: str) -> int:
    """How many characters at the end of `text` may be the start of `marker`."""
    return next((size for size in range(len(marker) - 1, 0, -1) if text.endswith(marker[:size])), 0)
