"""References between actions, the tree of errors, and the bounds of what crosses processes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmedagent.protocol import card, claims, completion, consultation, events, invocation, plan, workers
from mmedagent.protocol.errors import (
    MAX_DETAIL,
    MalformedPlanError,
    MMedAgentError,
    Problem,
    RequestError,
    ServiceError,
    error_from_problem,
    error_types,
)
from mmedagent.protocol.events import StoredEvent, TurnEvent
from mmedagent.protocol.references import referenced_fields, references_of, resolve
from mmedagent.protocol.types import JsonObject, WireType

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
MODULES = (card, claims, completion, consultation, events, invocation, plan, workers)


def wire_types() -> list[type[WireType]]:
    found = {one for module in MODULES for _, one in inspect.getmembers(module, inspect.isclass)}
    return sorted((one for one in found if issubclass(one, WireType)), key=lambda one: one.__name__)


def test_references_are_found_and_replaced_wherever_they_are() -> None:
    value: Any = {"boxes": "$1.boxes", "more": [{"deep": "$12.a_b"}, "cost: $1.50", "$1", "$1.boxes "], "n": 3}
    assert references_of(value) == {1, 12}
    assert referenced_fields(value) == {(1, "boxes"), (12, "a_b")}
    results: dict[int, JsonObject] = {1: {"boxes": [[0, 0, 1, 1]]}, 12: {"a_b": None}}
    resolved = resolve(value, results)
    assert resolved == {
        "boxes": [[0, 0, 1, 1]],
        "more": [{"deep": None}, "cost: $1.50", "$1", "$1.boxes "],
        "n": 3,
    }


def test_a_reference_to_a_field_that_is_not_there_is_malformed() -> None:
    with pytest.raises(MalformedPlanError, match=r"\$1\.masks"):
        resolve("$1.masks", {1: {"boxes": []}})


@given(JSON)
def test_a_value_without_references_stays_as_it_is(value: Any) -> None:
    assert references_of(value) or resolve(value, {}) == value


def all_errors() -> list[type[MMedAgentError]]:
    found, pending = [], [MMedAgentError]
    while pending:
        kind = pending.pop()
        found.append(kind)
        pending.extend(kind.__subclasses__())
    return found


def test_every_error_has_a_code_of_its_own_and_stands_in_the_tree() -> None:
    kinds = all_errors()
    assert len({kind.code for kind in kinds}) == len(kinds) == len(error_types())
    tree = inspect.getdoc(inspect.getmodule(MMedAgentError)) or ""
    for kind in kinds:
        assert kind.__name__ in tree
        assert 400 <= kind.status <= 599
        assert kind.status < 500 or not issubclass(kind, RequestError)
        assert kind.title


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_an_error_comes_back_from_its_problem(kind: type[MMedAgentError]) -> None:
    problem = kind("It does not work.", retry_after=2.0).problem("request-1")
    again = error_from_problem(Problem.model_validate_json(problem.model_dump_json()))
    assert type(again) is kind
    assert (again.detail, again.retry_after, str(again)) == ("It does not work.", 2.0, "It does not work.")
    assert (problem.status, problem.correlation_id, problem.message) == (kind.status, "request-1", problem.detail)


def test_an_unknown_problem_is_a_service_error_and_a_long_detail_is_cut() -> None:
    problem = Problem(title="Odd", status=599, detail="Odd.", code="odd", correlation_id="-")
    assert type(error_from_problem(problem)) is ServiceError
    assert len(MMedAgentError("a" * 50_000).problem("x").detail) == MAX_DETAIL


@pytest.mark.parametrize("kind", wire_types(), ids=lambda kind: kind.__name__)
def test_every_field_has_a_bound_and_nothing_is_added(kind: type[WireType]) -> None:
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "forbid"
    schema = kind.model_json_schema()
    for name, shape in [*schema.get("properties", {}).items(), *_defined(schema)]:
        assert _is_bounded(shape), f"{kind.__name__}.{name}: {shape}"


def _defined(schema: dict[str, Any]) -> list[tuple[str, Any]]:
    return [pair for one in schema.get("$defs", {}).values() for pair in one.get("properties", {}).items()]


def _is_bounded(shape: dict[str, Any]) -> bool:
    for word in ("anyOf", "oneOf"):
        if word in shape:
            return all(_is_bounded(one) for one in shape[word])
    match shape.get("type"):
        case "string":
            return bool({"maxLength", "pattern", "enum", "const"} & shape.keys())
        case "array":
            return "maxItems" in shape and all(_is_bounded(one) for one in _items(shape))
        case _:
            return True


def _items(shape: dict[str, Any]) -> list[dict[str, Any]]:
    items = shape.get("items", {})
    return [*([items] if isinstance(items, dict) and items else []), *shape.get("prefixItems", [])]


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": [float("inf")]}, {"a": "\ud800"}, {"\ud800": 1}])
def test_what_is_not_json_everywhere_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(JsonObject).validate_python(value)


def test_events_come_back_from_their_json() -> None:
    adapter: TypeAdapter[TurnEvent] = TypeAdapter(TurnEvent)
    problem = MalformedPlanError("No plan.").problem("x")
    for event in (
        events.TurnStarted(turn_id="a", conversation_id="b", planner="c"),
        events.ThoughtsWritten(step=1, text="d"),
        events.CallStarted(number=1, call_id="e", tool="echo", parameters={"x": [1.5, None]}),
        events.TurnFailed(problem=problem),
    ):
        stored = StoredEvent(sequence=1, at=1.0, event=event)
        assert StoredEvent.model_validate_json(stored.model_dump_json()) == stored
        assert adapter.validate_python(event.model_dump(mode="json")) == event
    with pytest.raises(ValidationError):
        adapter.validate_python({"type": "turn.unknown"})
