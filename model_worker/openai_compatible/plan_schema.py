"""A plan as JSON Schema, for endpoints that write JSON after a schema instead of calling tools natively."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mmedagent.model_worker.openai_compatible.instructions import parameters_of
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.plan import MAX_ACTIONS
from mmedagent.protocol.types import JsonObject, JsonSchema

REFERENCE: JsonSchema = {"type": "string", "pattern": r"^\$[0-9]{1,3}\.[A-Za-z_][A-Za-z0-9_]*$"}
THOUGHTS, ACTIONS, VALUE = "thoughts", "actions", "value"


def plan_schema(tools: Sequence[ToolCard]) -> JsonObject:
    """The `response_format` of a plan whose actions are calls of these tools, in the order in which it is written."""
    actions: JsonSchema = {"type": "array", "maxItems": MAX_ACTIONS if tools else 0}
    if tools:
        actions["items"] = {"anyOf": [_action(card) for card in tools]}
    schema = _object({THOUGHTS: {"type": "string"}, ACTIONS: actions, VALUE: {"type": "string"}})
    return {"type": "json_schema", "json_schema": {"name": "plan", "schema": schema}}


def _action(card: ToolCard) -> JsonSchema:
    return _object({"API_name": {"type": "string", "enum": [card.name]}, "API_params": _parameters(card)})


def _parameters(card: ToolCard) -> JsonSchema:
    """The card's schema, in which a list may also be a reference.

    A schema with references to its own definitions means something else inside another one, so the endpoint gets none:
    what it writes is checked against the card in any case.
    """
    schema = parameters_of(card)
    if '"$ref"' in json.dumps(schema):
        return {"type": "object"}
    properties = {name: _or_reference(own) for name, own in schema.get("properties", {}).items()}
    return {**schema, "properties": properties}


def _or_reference(own: Any) -> Any:
    is_list = isinstance(own, dict) and own.get("type") == "array"
    return {"anyOf": [own, REFERENCE]} if is_list else own


def _object(properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
