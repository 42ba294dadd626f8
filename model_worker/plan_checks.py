"""Whether actions that a model wrote can be carried out with the tools and the results that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, MalformedPlanError
from mmedagent.protocol.invocation import Outcome, ToolResult
from mmedagent.protocol.plan import MAX_ACTIONS, Action, PlannerRequest
from mmedagent.protocol.planner_format import read_action
from mmedagent.protocol.references import referenced_fields
from mmedagent.serving.schemas import CardValidator

MAX_NAME = 64


class PlanChecker:
    """Checks the actions of one step: known tools, parameters against their schemas, references to what exists.

    `tools` are the cards that the model was offered.
    """

    def __init__(self, request: PlannerRequest, tools: Sequence[ToolCard]) -> None:
        self._tools = tools
        self._outcomes = tuple(outcome for step in request.steps for outcome in step.outcomes)

    def actions(self, entries: Sequence[Any]) -> tuple[Action, ...]:
        """The actions behind their JSON, under the tools' own names. Raises `MalformedPlanError` with what is wrong."""
        if len(entries) > MAX_ACTIONS:
            raise MalformedPlanError(f"A plan has at most {MAX_ACTIONS} actions.")
        cards: list[ToolCard] = []
        actions: list[Action] = []
        for entry in entries:
            action = _read(entry)
            card = self._card(action.API_name)
            self._check_references(action, cards)
            try:
                CardValidator(card).check_planned(action.API_params)
            except InvalidParametersError as error:
                raise MalformedPlanError(error.detail) from error
            cards.append(card)
            actions.append(Action(API_name=card.name, API_params=action.API_params))
        return tuple(actions)

    def _card(self, name: str) -> ToolCard:
        card = next((card for card in self._tools if card.answers_to(name)), None)
        if card is None:
            known = ", ".join(card.name for card in self._tools) or "none at present"
            raise MalformedPlanError(f"There is no tool {name[:MAX_NAME]!r}; there is: {known}.")
        return card

    def _check_references(self, action: Action, before: Sequence[ToolCard]) -> None:
        """`before` are the tools of the actions of the same plan that come before this one."""
        number = len(self._outcomes) + len(before) + 1
        for wanted, field in sorted(referenced_fields(action.API_params)):
            if not 1 <= wanted < number:
                raise MalformedPlanError(f"Action {number} refers to action {wanted}, which does not come before it.")
            place = wanted - 1 - len(self._outcomes)
            there = _promises(before[place], field) if place >= 0 else _has(self._outcomes[wanted - 1], field)
            if not there:
                raise MalformedPlanError(f"Action {number} refers to ${wanted}.{field}, which is not there.")


def _read(entry: Any) -> Action:
    try:
        return read_action(entry)
    except ValidationError as error:
        raise MalformedPlanError("An action is over its bounds.") from error


def _promises(card: ToolCard, field: str) -> bool:
    properties = card.result.get("properties")
    return not isinstance(properties, dict) or field in properties


def _has(outcome: Outcome, field: str) -> bool:
    return isinstance(outcome, ToolResult) and field in outcome.data
