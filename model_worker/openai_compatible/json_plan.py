"""Replies that are a plan as one JSON object, for endpoints that write JSON after a schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from mmedagent.model_worker.openai_compatible.plan_schema import ACTIONS, THOUGHTS, VALUE
from mmedagent.model_worker.openai_compatible.reading import Budget, StepWriter
from mmedagent.model_worker.plan_checks import PlanChecker
from mmedagent.model_worker.planner import StepEvent
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.strict_json import read_json
from mmedagent.serving.chat.wire import Delta


class JsonPlanReader:
    """Reads a plan from its JSON while it is written: a field is whole as soon as the next one begins.

    At the end the whole text is read once more, strictly.
    """

    def __init__(self, writer: StepWriter, checker: PlanChecker) -> None:
        self._writer = writer
        self._checker = checker
        self._budget = Budget()
        self._text = ""
        self._refusal = ""
        self._given = {THOUGHTS: 0, VALUE: 0}

    def feed(self, delta: Delta) -> Iterator[StepEvent]:
        self._refusal += self._budget.spend(delta.refusal or "")
        if not delta.content:
            return
        self._text += self._budget.spend(delta.content)
        try:
            begun = from_json(self._text, allow_inf_nan=False, allow_partial="trailing-strings")
        except ValueError:
            return
        if isinstance(begun, dict) and begun:
            yield from self._read(begun, unfinished=list(begun)[-1])

    def finish(self) -> Iterator[StepEvent]:
        """A refusal is an answer: it says why there is no plan."""
        if self._refusal and not self._text:
            yield from self._writer.decide(())
            yield from self._writer.tell(self._refusal)
            return
        yield from self._read(_whole(self._text), unfinished=None)
        if not self._writer.decided:
            raise MalformedPlanError("The reply is empty.")

    def _read(self, plan: dict[str, Any], unfinished: str | None) -> Iterator[StepEvent]:
        """Give out what is new. An empty list of actions is a decision only when an answer has begun."""
        yield from self._writer.think(self._new(plan, THOUGHTS))
        actions = plan.get(ACTIONS) if unfinished != ACTIONS else None
        if not self._writer.decided and isinstance(actions, list) and (actions or _text(plan, VALUE)):
            yield from self._writer.decide(self._checker.actions(actions))
        if self._writer.decided:
            yield from self._writer.tell(self._new(plan, VALUE))

    def _new(self, plan: dict[str, Any], field: str) -> str:
        """What a text field has become longer by."""
        new = _text(plan, field)[self._given[field] :]
        self._given[field] += len(new)
        return new


def _text(plan: dict[str, Any], field: str) -> str:
    text = plan.get(field)
    return text if isinstance(text, str) else ""


def _whole(text: str) -> dict[str, Any]:
    stripped = text.strip()
    try:
        plan, end = read_json(stripped)
    except ValueError as error:
        raise MalformedPlanError(f"The reply is {error}.") from error
    if stripped[end:] or not isinstance(plan, dict) or plan.keys() != {THOUGHTS, ACTIONS, VALUE}:
        raise MalformedPlanError(f"The reply is not one JSON object with {THOUGHTS}, {ACTIONS} and {VALUE}.")
    if not (isinstance(plan[THOUGHTS], str) and isinstance(plan[ACTIONS], list) and isinstance(plan[VALUE], str)):
        raise MalformedPlanError("The reply has a list of actions, and two texts beside it.")
    return plan
