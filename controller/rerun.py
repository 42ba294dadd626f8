"""Running one call of a turn again with other parameters: what is made anew, and what is taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmedagent.controller.turn import PastCall
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.errors import InvalidParametersError, NotFoundError
from mmedagent.protocol.events import CallEnded, CallStarted, PlanMade, TurnEvent
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.references import references_of
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.schemas import CardValidator


@dataclass(frozen=True)
class Rerun:
    """The plans up to the one with the changed call, and the calls, by number, that stay as they were."""

    plans: tuple[Plan, ...]
    reused: dict[int, PastCall]


def make_rerun(
    events: Sequence[TurnEvent], call_id: str, parameters: JsonObject, tools: Mapping[str, ToolCard]
) -> Rerun:
    """What remains of a turn when one of its calls gets these parameters.

    In the plan with the call, only those actions run again that refer to it, directly or not. Later plans were made
    from its result and are not kept. Raises `NotFoundError` for a call that the turn does not have or whose tool is
    not among `tools`, `InvalidParametersError`.
    """
    calls = _past_calls(events)
    number = next((number for number, call in calls.items() if call.outcome.call_id == call_id), None)
    if number is None:
        raise NotFoundError("The response has no such call.")
    card = tools.get(calls[number].outcome.tool)
    if card is None:
        raise NotFoundError("The tool of this call is not available now.")
    if references_of(parameters):
        raise InvalidParametersError("Give the parameters as values; references are for plans.")
    CardValidator(card).check_parameters(parameters)
    before, plan = _plan_of(number, [event.plan for event in events if isinstance(event, PlanMade)])
    first = 1 + sum(len(one.actions) for one in before)
    changed = _changed(plan.actions[number - first], calls[number], parameters)
    actions = (*plan.actions[: number - first], changed, *plan.actions[number - first + 1 :])
    again = {number}
    for other, action in enumerate(actions, first):
        if references_of(action.API_params) & again:
            again.add(other)
    kept = set(range(1, first + len(actions))) - again
    return Rerun((*before, plan.model_copy(update={"actions": actions})), {one: calls[one] for one in sorted(kept)})


def _past_calls(events: Sequence[TurnEvent]) -> dict[int, PastCall]:
    began = {event.number: event.parameters for event in events if isinstance(event, CallStarted)}
    ended = [event for event in events if isinstance(event, CallEnded)]
    return {event.number: PastCall(event.outcome, began.get(event.number)) for event in ended}


def _plan_of(number: int, plans: Sequence[Plan]) -> tuple[tuple[Plan, ...], Plan]:
    """The plan with this action, after those before it."""
    last = 0
    for index, plan in enumerate(plans):
        last += len(plan.actions)
        if number <= last:
            return tuple(plans[:index]), plan
    raise NotFoundError("The response has no such call.")


def _changed(action: Action, call: PastCall, parameters: JsonObject) -> Action:
    """The action with its new parameters. What is as it was stays a reference, so that it follows later changes."""
    before = call.parameters or {}
    kept = {name for name, value in parameters.items() if name in action.API_params and before.get(name) == value}
    made = {name: action.API_params[name] if name in kept else value for name, value in parameters.items()}
    return action.model_copy(update={"API_params": made})
