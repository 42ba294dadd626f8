"""The literal text form of a plan, as MMedAgent's planner writes it (arXiv 2407.02483). No other module knows it.

    "thoughts🤔" I will ...
    "actions🚀" [{"API_name": "grounding dino", "API_params": {"prompts": ["liver"]}}]
    "value👉" Let me look for it.

Planner text is data: it is read by a strict JSON parser, never evaluated and never repaired.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import Action, Plan
from mmedagent.protocol.strict_json import read_json
from mmedagent.protocol.types import JsonObject

THOUGHTS, ACTIONS, VALUE = '"thoughts🤔"', '"actions🚀"', '"value👉"'
MAX_PLAN_CHARACTERS = 64_000
IMAGE_PLACEHOLDERS = frozenset({"", "<image>", "<imagepath>"})


def render_plan(plan: Plan) -> str:
    """The text of a plan, with the blank after each marker that MMedAgent was trained with."""
    actions = json.dumps([action.model_dump() for action in plan.actions], ensure_ascii=False)
    return f"{THOUGHTS} {plan.thoughts}\n{ACTIONS} {actions}\n{VALUE} {plan.value}"


def parse_plan(text: str) -> Plan:
    """Read a plan from its text.

    Raises `MalformedPlanError` for anything but the three parts in order, with one JSON array of actions.
    """
    if len(text) > MAX_PLAN_CHARACTERS:
        raise MalformedPlanError(f"A plan is at most {MAX_PLAN_CHARACTERS} characters long.")
    body = text.strip()
    if not body.startswith(THOUGHTS):
        raise MalformedPlanError("A plan begins with its thoughts.")
    thoughts, found, rest = body.removeprefix(THOUGHTS).partition(ACTIONS)
    if not found:
        raise MalformedPlanError("A plan has actions after its thoughts.")
    rest = rest.lstrip()
    try:
        entries, end = read_json(rest)
    except ValueError as error:
        raise MalformedPlanError(f"The actions are {error}.") from error
    tail = rest[end:].lstrip()
    if not tail.startswith(VALUE):
        raise MalformedPlanError("A plan has its value right after its actions.")
    try:
        return Plan(
            thoughts=thoughts.strip(),
            actions=tuple(read_action(entry) for entry in _as_list(entries)),
            value=tail.removeprefix(VALUE).strip(),
        )
    except ValidationError as error:
        raise MalformedPlanError("A part of the plan is over its bounds.") from error


def second_turn(outputs: list[tuple[str, JsonObject]], question: str) -> str:
    """The user message that brings tool output back to the planner, in the wording MMedAgent was trained with."""
    lines = [f"{name} output: {json.dumps(data, ensure_ascii=False)}" for name, data in outputs]
    return "\n".join(lines) + f"\n\nAnswer my first question: {question}"


def _as_list(entries: Any) -> list[Any]:
    if not isinstance(entries, list):
        raise MalformedPlanError("The actions are not a list.")
    return entries


def read_action(entry: Any) -> Action:
    """One action from its JSON; a placeholder for the turn's image is left out.

    Raises `MalformedPlanError` for anything but a name and parameters, `ValidationError` for what is over its bounds.
    """
    if not isinstance(entry, dict) or not {"API_name"} <= entry.keys() <= {"API_name", "API_params"}:
        raise MalformedPlanError("An action has an API_name and API_params, and nothing else.")
    action = Action.model_validate(entry)
    if str(action.API_params.get("image")) in IMAGE_PLACEHOLDERS:
        parameters = {key: value for key, value in action.API_params.items() if key != "image"}
        return Action(API_name=action.API_name, API_params=parameters)
    return action
