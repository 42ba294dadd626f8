"""Replies with native tool calls, and answers as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmedagent.model_worker.openai_compatible.reading import Budget, StepWriter
from mmedagent.model_worker.plan_checks import PlanChecker
from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import MAX_ACTIONS
from mmedagent.protocol.strict_json import read_json
from mmedagent.serving.chat.wire import CallDelta, Delta

MAX_PREAMBLE = 300
"""Characters before tool calls. Text is held back so long, because only then it is known to be an answer."""


class CallReader:
    """Reads a reply that calls tools, or answers. Text before calls counts as thoughts.

    `hold` is how many characters of text are held back in case that calls follow.
    """

    def __init__(self, writer: StepWriter, checker: PlanChecker, hold: int) -> None:
        self._writer = writer
        self._checker = checker
        self._hold = hold
        self._held = ""
        self._calls = _Calls()
        self._budget = Budget()

    def feed(self, delta: Delta) -> Iterator[StepEvent]:
        """A refusal is an answer: it says why there is no other."""
        for call in delta.tool_calls or ():
            if self._writer.decided:
                raise MalformedPlanError("The reply calls tools in the middle of an answer.")
            self._calls.add(call, self._budget)
        text = self._budget.spend((delta.content or "") + (delta.refusal or ""))
        if self._writer.decided:
            yield from self._writer.tell(text)
            return
        self._held = (self._held + text).lstrip()
        if len(self._held) > self._hold and not self._calls.found:
            yield from self._answer()

    def finish(self) -> Iterator[StepEvent]:
        if self._calls.found:
            actions = self._checker.actions([call.entry() for call in self._calls.found])
            self._writer.new_thought()
            yield from self._writer.think(self._held.rstrip())
            yield from self._writer.decide(actions)
        elif not self._writer.decided:
            if not self._held:
                raise MalformedPlanError("The reply is empty.")
            yield from self._answer()

    def _answer(self) -> Iterator[StepEvent]:
        yield from self._writer.decide(())
        yield from self._writer.tell(self._held)


@dataclass
class _Call:
    id: str | None
    name: str = ""
    arguments: str = ""

    def entry(self) -> dict[str, Any]:
        """The call as an action. Raises `MalformedPlanError` when the arguments are no JSON object."""
        text = self.arguments.strip() or "{}"
        try:
            parameters, end = read_json(text)
        except ValueError as error:
            raise MalformedPlanError(f"The arguments of a call are {error}.") from error
        if text[end:] or not isinstance(parameters, dict):
            raise MalformedPlanError("The arguments of a call are not one JSON object.")
        return {"API_name": self.name, "API_params": parameters}


class _Calls:
    """Puts calls together from their pieces."""

    def __init__(self) -> None:
        self.found: list[_Call] = []
        self._at: dict[int | None, _Call] = {}

    def add(self, piece: CallDelta, budget: Budget) -> None:
        """A new index, or another id under the same one, begins a call."""
        call = self._at.get(piece.index)
        if call is None or (piece.id and call.id and piece.id != call.id):
            if len(self.found) >= MAX_ACTIONS:
                raise MalformedPlanError(f"A plan has at most {MAX_ACTIONS} actions.")
            call = self._at[piece.index] = _Call(piece.id)
            self.found.append(call)
        call.name += budget.spend(piece.function.name or "")
        call.arguments += budget.spend(piece.function.arguments or "")
