"""Narrows the parameter schemas of tool cards to what a grammar can write without ever breaking them.

Whatever fits a narrowed schema fits the card's schema too. It leaves out what JSON Schema allows and a plan cannot
hold: repeated and unknown names, numbers that overflow, control characters, and free text that reads as a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmedagent.protocol.references import referenced_fields
from mmedagent.protocol.types import JsonSchema

TEXT_PATTERN = r"^([^$\x00-\x1f\x7f][^\x00-\x1f\x7f]*)?$"
LARGEST_NUMBER = 10**9
MOST_ITEMS = 64
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$comment", "$schema", "$id", "deprecated"})
_ANYTHING: tuple[str, ...] = ("string", "number", "boolean", "null")
_COMBINATIONS = ("anyOf", "oneOf", "allOf")
_IMPLIED = {
    "object": {"properties", "additionalProperties", "patternProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
"""Keywords that say nothing about values of other types. Whoever writes one without a type means that type."""


def narrowed(schema: JsonSchema) -> JsonSchema:
    """The schema within those bounds. Keywords that no bound concerns stay as they are.

    Raises `ValueError` for an object whose names are partly given and partly a pattern, because names could repeat.
    """
    kept = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if "type" not in kept:
        implied = [kind for kind, keywords in _IMPLIED.items() if keywords & kept.keys()]
        kept |= {"type": implied} if implied else {} if kept else {"type": list(_ANYTHING)}
    for kind in _kinds(kept):
        kept |= _BOUNDS[kind](kept) if kind in _BOUNDS else {}
    for key in _COMBINATIONS:
        if key in kept:
            kept[key] = [_inner(one) for one in kept[key]]
    if "$defs" in kept:
        kept["$defs"] = {name: _inner(one) for name, one in kept["$defs"].items()}
    return kept


def with_references(schema: JsonSchema, fields: Sequence[tuple[int, str, JsonSchema]]) -> JsonSchema:
    """The narrowed schema of an object whose lists may also be references to results.

    `fields` are the number of an action, the name of a field of its result, and the field's schema. Only lists are
    referred to: a text in a result may come from a passage or a report, which must not decide what is run next.
    """
    properties: dict[str, Any] = {}
    for name, wanted in schema.get("properties", {}).items():
        fitting = [f"${number}.{field}" for number, field, given in fields if _fits_list(given, wanted)]
        found = [reference for reference in fitting if referenced_fields(reference)]
        properties[name] = {"anyOf": [wanted, {"enum": found}]} if found else wanted
    return {**schema, "properties": properties} if properties else schema


def _fits_list(given: Any, wanted: Any) -> bool:
    """Whether the elements of one list are of the same kind as those of another, and as many where that is fixed."""
    if not (_is_list(given) and _is_list(wanted)):
        return False
    inner_given, inner_wanted = given.get("items", {}), wanted.get("items", {})
    if not (isinstance(inner_given, dict) and isinstance(inner_wanted, dict)):
        return False
    if _is_list(inner_given):
        return _length(inner_given) == _length(inner_wanted) and _fits_list(inner_given, inner_wanted)
    kind = inner_given.get("type")
    return kind in ("string", "number", "integer") and kind == inner_wanted.get("type")


def _is_list(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "array"


def _length(schema: JsonSchema) -> tuple[object, object]:
    return schema.get("minItems"), schema.get("maxItems")


def _kinds(schema: JsonSchema) -> tuple[str, ...]:
    if "enum" in schema or "const" in schema:
        return ()
    kinds = schema.get("type", ())
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)


def _inner(schema: Any) -> Any:
    """A schema inside another one. An empty branch such as `{"required": [...]}` says nothing about its type."""
    if schema is True:
        return narrowed({})
    return narrowed(schema) if isinstance(schema, dict) else schema


def _text(schema: JsonSchema) -> JsonSchema:
    if schema.get("pattern") == TEXT_PATTERN:
        return {}
    if {"pattern", "format"} & schema.keys():
        return {"allOf": [*schema.get("allOf", ()), {"pattern": TEXT_PATTERN}]}
    return {"pattern": TEXT_PATTERN}


def _number(schema: JsonSchema) -> JsonSchema:
    low = {} if {"minimum", "exclusiveMinimum"} & schema.keys() else {"minimum": -LARGEST_NUMBER}
    high = {} if {"maximum", "exclusiveMaximum"} & schema.keys() else {"maximum": LARGEST_NUMBER}
    return low | high


def _list(schema: JsonSchema) -> JsonSchema:
    bounds: JsonSchema = {} if "maxItems" in schema else {"maxItems": max(MOST_ITEMS, schema.get("minItems", 0))}
    bounds["items"] = _inner(schema.get("items", True))
    if "prefixItems" in schema:
        bounds["prefixItems"] = [_inner(one) for one in schema["prefixItems"]]
    return bounds


def _object(schema: JsonSchema) -> JsonSchema:
    properties = {name: _inner(one) for name, one in schema.get("properties", {}).items()}
    if properties and "patternProperties" in schema:
        raise ValueError("patternProperties beside properties")
    if properties:
        return {"properties": properties, "additionalProperties": False}
    others = _inner(schema.get("additionalProperties", "patternProperties" not in schema))
    return {"additionalProperties": others, "maxProperties": min(1, schema.get("maxProperties", 1))}


_BOUNDS = {"string": _text, "number": _number, "integer": _number, "array": _list, "object": _object}
