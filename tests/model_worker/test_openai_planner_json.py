"""Plans as JSON after a schema, for endpoints that have no native tool calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mmedagent.model_worker.openai_compatible import OpenAIPlanner
from mmedagent.protocol.cards import built_in_cards
from mmedagent.protocol.errors import MalformedPlanError
from mmedagent.protocol.plan import MAX_ACTIONS, Plan, ValueDelta, assemble
from mmedagent.protocol.types import MAX_TEXT
from openai_planners import CARDS, GROUNDING, action, ask, carry_on, found, load, plan_of, step
from support.chat_endpoint import DONE, ChatEndpoint, Reply, chunk, cut, running_endpoint, said

FIND = {"API_name": "grounding", "API_params": {"prompts": ["läsion 🫁"]}}
OUTLINE = {"API_name": "segmentation", "API_params": {"boxes": "$1.boxes"}}
LOOK = {"thoughts": 'I "look" 🤔.', "actions": [FIND, OUTLINE], "value": "One\nmoment."}
ANSWER = {"thoughts": "Done.", "actions": [], "value": "Es mißt 12 mm² [1] 🩺."}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ChatEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def planner(endpoint: ChatEndpoint) -> OpenAIPlanner:
    endpoint.replies.clear()
    return load(endpoint, plans="json_schema")


def written(plan: object, size: int = 5, ascii_only: bool = False, finish: str = "stop") -> Reply:
    """A plan as text in deltas of `size` characters."""
    text = plan if isinstance(plan, str) else json.dumps(plan, ensure_ascii=ascii_only)
    return said(*(text[start : start + size] for start in range(0, len(text), size)), finish=finish)


def format_of(endpoint: ChatEndpoint, planner: OpenAIPlanner, **fields: Any) -> dict[str, Any]:
    """The schema that is sent."""
    endpoint.replies.append(written(ANSWER))
    plan_of(planner, ask("x", **fields))
    (asked,) = endpoint.asked
    assert "tools" not in asked
    assert asked["response_format"]["type"] == "json_schema"
    schema = asked["response_format"]["json_schema"]["schema"]
    Draft202012Validator.check_schema(schema)
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("size", [1, 3, 1_000])
@pytest.mark.parametrize("plan", [LOOK, ANSWER], ids=["actions", "answer"])
def test_a_plan_is_read_however_it_arrives(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, plan: dict[str, Any], size: int, ascii_only: bool
) -> None:
    endpoint.replies.append(cut(written(plan, size, ascii_only), 11))
    events = list(planner.step(ask("x"), None, carry_on))
    assert assemble(events) == Plan.model_validate(plan)
    kinds = [event.type for event in events]
    assert kinds == sorted(kinds, key=["thoughts", "actions", "value", "done"].index)
    assert kinds.count("actions") == 1


def test_the_order_of_the_fields_does_not_matter(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    for plan in (LOOK, ANSWER):
        turned = {name: plan[name] for name in ("value", "actions", "thoughts")}
        endpoint.replies.append(written(turned))
        made = plan_of(planner, ask("x"))
        assert made.value == plan["value"]
        assert [one.model_dump() for one in made.actions] == plan["actions"]


def test_an_answer_is_passed_on_while_it_is_written(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    rest = threading.Event()
    start, end = '{"thoughts": "", "actions": [], "value": "The li', 'ver."}'
    endpoint.replies.append(Reply([chunk(content=start), rest, chunk(content=end), chunk("stop"), DONE]))
    events = planner.step(ask("x"), None, carry_on)
    assert [next(events).type, next(events)] == ["actions", ValueDelta(text="The li")]
    rest.set()
    assert [event for event in events if isinstance(event, ValueDelta)] == [ValueDelta(text="ver.")]


def test_a_refusal_is_the_answer(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(Reply([chunk(refusal="No"), chunk(refusal="."), chunk("stop"), DONE]))
    assert plan_of(planner, ask("x")) == Plan(thoughts="", value="No.")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (written("The liver is there."), "not valid JSON"),
        (written('{"thoughts": "", "actions": [], "value": '), "not valid JSON"),
        (written(json.dumps({**ANSWER, "value": ""}) + "!"), "not one JSON object"),
        (written({"thoughts": "", "actions": []}), "not one JSON object"),
        (written({"more": 1, "actions": [], "thoughts": ""}), "not one JSON object"),
        (written([LOOK]), "not one JSON object"),
        (written({**LOOK, "actions": {}}), "a list of actions"),
        (written({**LOOK, "value": 3, "actions": []}), "a list of actions"),
        (written({**ANSWER, "value": ""}), "empty"),
        (written({**LOOK, "actions": [{**FIND, "API_name": "xray"}]}), "no tool 'xray'"),
        (written({**LOOK, "actions": [{**FIND, "API_params": {}}]}), "required property"),
        (written({**LOOK, "actions": [{**FIND, "why": ""}]}), "API_name and API_params, and nothing else"),
        (written({**LOOK, "actions": [OUTLINE]}), "does not come before"),
        (written({**LOOK, "actions": [FIND] * (MAX_ACTIONS + 1)}, 500), f"at most {MAX_ACTIONS}"),
        (written({"thoughts": "", "actions": [{**FIND, "API_params": "{}"}], "value": ""}), "over its bounds"),
        (written('{"thoughts": "T', finish="length"), "limit of tokens"),
    ],
)
def test_what_is_no_plan_is_asked_for_again(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, reply: Reply, words: str
) -> None:
    endpoint.replies += [reply, written(ANSWER)]
    assert plan_of(planner, ask("x")).value == ANSWER["value"]
    assert endpoint.asked[1]["messages"][-1]["content"].startswith("x\n\nYour last reply could not be used")
    endpoint.replies += [reply, reply]
    with pytest.raises(MalformedPlanError, match=words):
        plan_of(planner, ask("x"))


@pytest.mark.parametrize(
    "text",
    [
        '{"thoughts": "", "actions": [], "value": "Yes."',
        '{"thoughts": "", "actions": [], "value": "Yes.", "value": "Yes. No."}',
        '{"thoughts": "", "actions": [], "value": "Yes.", "x": NaN}',
        '{"thoughts": "", "actions": [], "value": "' + "a" * (MAX_TEXT + 1) + '"}',
        '{"thoughts": "", "actions": [{"API_name": "retrieval", "API_params": {"query": "x"}}], "value": ""} done',
    ],
    ids=["cut off", "twice", "not a number", "too long", "more after it"],
)
def test_an_answer_that_has_begun_is_not_asked_for_again(
    planner: OpenAIPlanner, endpoint: ChatEndpoint, text: str
) -> None:
    endpoint.replies.append(written(text, 50))
    with pytest.raises(MalformedPlanError):
        plan_of(planner, ask("x"))
    assert len(endpoint.asked) == 1


def test_the_schema_lets_through_what_the_cards_do(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    valid = Draft202012Validator(format_of(endpoint, planner)).is_valid
    assert valid(LOOK)
    assert valid(ANSWER)
    assert not valid({**LOOK, "actions": [{**FIND, "API_name": "xray"}]})
    assert not valid({**LOOK, "actions": [{**FIND, "API_params": {"prompts": "liver"}}]})
    assert not valid({**LOOK, "actions": [{**FIND, "API_params": {"prompts": ["liver"], "x": 1}}]})
    assert not valid({"thoughts": "", "actions": []})


def test_every_example_of_a_built_in_card_fits_the_schema(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    valid = Draft202012Validator(format_of(endpoint, planner, tools=built_in_cards())).is_valid
    for card in built_in_cards():
        for example in card.examples:
            plan = {**LOOK, "actions": [{"API_name": card.name, "API_params": example.parameters}]}
            assert valid(plan), (card.name, example.ask)


def test_without_tools_the_schema_allows_no_actions(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    valid = Draft202012Validator(format_of(endpoint, planner, tools=())).is_valid
    assert valid(ANSWER)
    assert not valid(LOOK)


def test_a_card_with_definitions_of_its_own_is_left_to_the_check(
    planner: OpenAIPlanner, endpoint: ChatEndpoint
) -> None:
    own = {
        "type": "object",
        "properties": {"prompts": {"$ref": "#/$defs/prompts"}},
        "required": ["prompts"],
        "$defs": {"prompts": GROUNDING.parameters["properties"]["prompts"]},
    }
    card = GROUNDING.model_copy(update={"parameters": own})
    endpoint.replies += [written({**LOOK, "actions": [{**FIND, "API_params": {"prompts": 3}}]}), written(ANSWER)]
    plan_of(planner, ask("x", tools=(card,)))
    schema = endpoint.asked[0]["response_format"]["json_schema"]["schema"]
    assert Draft202012Validator(schema).is_valid({**LOOK, "actions": [FIND]})
    assert "not of type 'array'" in endpoint.asked[1]["messages"][-1]["content"]


def test_tools_and_steps_are_told_in_words(planner: OpenAIPlanner, endpoint: ChatEndpoint) -> None:
    endpoint.replies.append(written(ANSWER))
    done = step((action("grounding", prompts=["liver"]), found("grounding", boxes=[])), thoughts="Hm.", value="Wait.")
    plan_of(planner, ask("Where?", done, done))
    system, question, plan, result, _, second = endpoint.asked[0]["messages"]
    assert all(f'"name": "{card.name}"' in system["content"] for card in CARDS)
    assert question == {"role": "user", "content": "Where?"}
    assert Plan.model_validate_json(plan["content"]) == done.plan
    assert result == {"role": "user", "content": 'The calls gave:\n{"call": 1, "result": {"boxes": []}}'}
    assert '"call": 2' in second["content"]
