"""References between actions: `"$1.boxes"` stands for the field `boxes` of the first action's result.

Actions are counted from 1 over the whole turn, so a later plan can use the results of an earlier one.
"""

from __future__ import annotations

import re

from pydantic import JsonValue

from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.types import JsonObject

_REFERENCE = re.compile(r"\$(\d{1,3})\.([A-Za-z_][A-Za-z0-9_]*)")


def references_of(value: JsonValue) -> set[int]:
    """The numbers of the actions that a parameter value refers to."""
    return {number for number, _ in referenced_fields(value)}


def resolve(value: JsonValue, results: dict[int, JsonObject]) -> JsonValue:
    """`value` with every reference replaced by the field it names.

    Raises `MalformedPlanError` for a field that the result does not have. A referenced action must be in `results`.
    """
    if isinstance(value, str):
        match = _REFERENCE.fullmatch(value)
        return _field(results[int(match[1])], match[2], value) if match else value
    if isinstance(value, list):
        return [resolve(item, results) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, results) for key, item in value.items()}
    return value


def referenced_fields(value: JsonValue) -> set[tuple[int, str]]:
    """Each (action number, field name) that a parameter value refers to."""
    if isinstance(value, str):
        match = _REFERENCE.fullmatch(value)
        return {(int(match[1]), match[2])} if match else set()
    if isinstance(value, list):
        return set().union(*(referenced_fields(item) for item in value))
    if isinstance(value, dict):
        return set().union(*(referenced_fields(item) for item in value.values()))
    return set()


def _field(result: JsonObject, name: str, reference: str) -> JsonValue:
    if name not in result:
        raise MalformedPlanError(f"{reference} names a field that the result does not have.")
    return result[name]
